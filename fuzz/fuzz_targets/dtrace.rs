//! Inputs of [`ddi_fuzz::dtrace`]: from libFuzzer, or the files that are named.
#![cfg_attr(fuzzing, no_main)]

ddi_fuzz::entry!(dtrace);
