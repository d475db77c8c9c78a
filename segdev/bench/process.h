/*
 * What a process does with a driver's mappings, over one framework or another.
 */
#ifndef PROCESS_H
#define PROCESS_H

#include "kernel.h"

struct mapping;

/* mmap(2) through the driver's segmap(9E). */
extern struct mapping *process_map(struct cb_ops *, dev_t, offset_t off, size_t len);
/* A load from the page at an offset of the mapping. */
extern void process_fault(struct mapping *, size_t off);
/* The child's copy of a mapping. */
extern struct mapping *process_fork(struct mapping *);
/* munmap(2) of a part; returns what is behind it if something stays before and behind. */
extern struct mapping *process_cut(struct mapping *, size_t off, size_t len);
/* munmap(2) of all of it. */
extern void process_unmap(struct mapping *);

#endif /* PROCESS_H */
