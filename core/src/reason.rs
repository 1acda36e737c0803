//! Why something was refused.

