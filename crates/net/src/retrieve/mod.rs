//! Find, plan, get, verify: the main job. The only file that knows the order.
