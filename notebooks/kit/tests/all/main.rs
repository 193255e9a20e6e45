//! The tests of the notebooks, as one program.

mod notebooks;
