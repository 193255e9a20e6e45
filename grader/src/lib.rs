//! Cuts the students' tree, grades submissions in a sandbox, and reports.
