/* What no kernel has. build.sh renames members and constants in what the compiler makes of this. */
struct twice { int kept; int first; char second; struct { short in; }; };
enum again { KEPT, FIRST, SECOND };
struct clash { int unnamed_field_0; struct { int inner; }; struct { int unnamed_field_0; } unnamed_field_1; };
struct twice twice;
enum again again_;
struct clash clash;
