//! Judges what a conformance image reports.
