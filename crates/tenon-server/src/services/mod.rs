//! Which service lives in which worker group, and what it declares.
