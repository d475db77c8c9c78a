/*
 * The stub kernel under what is measured: its functions do as little as they can and count themselves. One thread only.
 */
#ifndef KERNEL_H
#define KERNEL_H

#include <sys/types.h>
#include <sys/param.h>
#include <sys/errno.h>
#include <sys/mman.h>
#include <sys/kmem.h>
#include <sys/conf.h>
#include <sys/devops.h>
#include <sys/ddi.h>
#include <sys/sunddi.h>
#include <sys/ddidevmap.h>
#include <vm/as.h>
#include <vm/seg.h>

#define UNUSED(x) ((void)(x))

/* The C library, whose headers define what the kernel's define. */
extern void *malloc(size_t);
extern void free(void *);
extern void exit(int) __attribute__((noreturn));
extern void qsort(void *, size_t, size_t, int (*)(const void *, const void *));
extern int strcmp(const char *, const char *);
extern char *strstr(const char *, const char *);

/* What the kernel was asked for so far. */
struct counts {
    ulong_t allocs;     /* allocations */
    ulong_t bytes;      /* bytes that are allocated now, as they were asked for */
    ulong_t locks;      /* mutexes and readers/writer locks taken */
    ulong_t mutexes;    /* mutexes made */
    ulong_t hat;        /* translations entered, dropped, unlocked or changed */
};

extern struct counts counts;

/* The address spaces of a process and its child. */
extern struct as parent, child;
/* The segment that has entered an address space last. */
extern struct seg *newest;

/* A driver, for devices of this major number. */
#define MAJOR 7
extern void kernel_driver(struct dev_ops *);
/* A segment without operations. */
extern struct seg *kernel_segment(struct as *, caddr_t, size_t);
/* Ends the program: something that cannot be has happened. */
extern void wrong(const char *what) __attribute__((noreturn));

#endif /* KERNEL_H */
