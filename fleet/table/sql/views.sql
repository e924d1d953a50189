-- The tables as views, in the directory that nodetables write or merge made:
--   duckdb -init views.sql
CREATE OR REPLACE VIEW nodes AS SELECT * FROM read_parquet('nodes/**/*.parquet');
CREATE OR REPLACE VIEW pods AS SELECT * FROM read_parquet('pods/**/*.parquet');
CREATE OR REPLACE VIEW containers AS SELECT * FROM read_parquet('containers/**/*.parquet');
CREATE OR REPLACE VIEW processes AS SELECT * FROM read_parquet('processes/**/*.parquet');
CREATE OR REPLACE VIEW descriptors AS SELECT * FROM read_parquet('descriptors/**/*.parquet');
CREATE OR REPLACE VIEW sockets AS SELECT * FROM read_parquet('sockets/**/*.parquet');
CREATE OR REPLACE VIEW modules AS SELECT * FROM read_parquet('modules/**/*.parquet');
CREATE OR REPLACE VIEW bpf_programs AS SELECT * FROM read_parquet('bpf_programs/**/*.parquet');
CREATE OR REPLACE VIEW findings AS SELECT * FROM read_parquet('findings/**/*.parquet');
CREATE OR REPLACE VIEW gaps AS SELECT * FROM read_parquet('gaps/**/*.parquet');
