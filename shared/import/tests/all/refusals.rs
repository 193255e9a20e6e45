//! What is no network that can be imported, and what is said of it.
