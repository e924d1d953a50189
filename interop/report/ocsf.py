"""Checks events of OCSF, a line each, against the JSON Schemas that ocsf-json-schema (PyPI, MIT) makes of OCSF's own: ocsf.py FILE."""
import collections, json, sys
from jsonschema import Draft202012Validator
from ocsf_json_schema import get_ocsf_schema, OcsfJsonSchemaEmbedded

names = {1007: "process_activity", 2004: "detection_finding"}
source = OcsfJsonSchemaEmbedded(get_ocsf_schema("1.8.0"))
validators = {}
count = collections.Counter()
bad = collections.Counter()
for line in open(sys.argv[1], encoding="utf-8"):
    event = json.loads(line)
    uid = event["class_uid"]
    if uid not in validators:
        schema = source.get_class_schema(names[uid], event["metadata"]["profiles"])
        Draft202012Validator.check_schema(schema)
        validators[uid] = Draft202012Validator(schema)
    count[names[uid]] += 1
    for error in validators[uid].iter_errors(event):
        bad["/".join(str(p) for p in error.absolute_path if not isinstance(p, int)) + ": " + error.message[:300]] += 1
print(dict(count))
for message, n in bad.most_common(20):
    print(n, message)
sys.exit(bool(bad) or len(count) < 2)
