//! Inputs of [`ddi_fuzz::wire`]: from libFuzzer, or the files that are named.
#![cfg_attr(fuzzing, no_main)]

ddi_fuzz::entry!(wire);
