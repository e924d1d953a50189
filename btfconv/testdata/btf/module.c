// A module, whose types are split from those of kinds.c.
struct list { struct list *next, **prev; };
struct added { struct list list; int more[4]; struct added *self; };
struct added added;
