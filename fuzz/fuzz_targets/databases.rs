//! Inputs of [`ddi_fuzz::databases`]: from libFuzzer, or the files that are named.
#![cfg_attr(fuzzing, no_main)]

ddi_fuzz::entry!(databases);
