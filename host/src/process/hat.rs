//! What is mapped where in a process, and which pages are loaded.
