//! Why something was refused.
