//! Inputs of [`ddi_fuzz::conf`]: from libFuzzer, or the files that are named.
#![cfg_attr(fuzzing, no_main)]

ddi_fuzz::entry!(conf);
