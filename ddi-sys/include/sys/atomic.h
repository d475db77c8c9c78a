/*
 * Atomic memory operations and barriers.
 */
#ifndef _SYS_ATOMIC_H
#define _SYS_ATOMIC_H

#include <sys/types.h>

/** Atomic: adds. */
extern void atomic_add_16(volatile uint16_t *p, int16_t val);
/** Atomic: adds; the new value. */
extern uint16_t atomic_add_16_nv(volatile uint16_t *p, int16_t val);
/** Atomic: adds. */
extern void atomic_add_32(volatile uint32_t *p, int32_t val);
/** Atomic: adds; the new value. */
extern uint32_t atomic_add_32_nv(volatile uint32_t *p, int32_t val);
/** Atomic: adds. */
extern void atomic_add_64(volatile uint64_t *p, int64_t val);
/** Atomic: adds; the new value. */
extern uint64_t atomic_add_64_nv(volatile uint64_t *p, int64_t val);
/** Atomic: adds. */
extern void atomic_add_8(volatile uint8_t *p, int8_t val);
/** Atomic: adds; the new value. */
extern uint8_t atomic_add_8_nv(volatile uint8_t *p, int8_t val);
/** Atomic: adds. */
extern void atomic_add_char(volatile uchar_t *p, signed char val);
/** Atomic: adds; the new value. */
extern uchar_t atomic_add_char_nv(volatile uchar_t *p, signed char val);
/** Atomic: adds. */
extern void atomic_add_int(volatile uint_t *p, int flag);
/** Atomic: adds; the new value. */
extern uint_t atomic_add_int_nv(volatile uint_t *p, int flag);
/** Atomic: adds. */
extern void atomic_add_long(volatile ulong_t *p, long val);
/** Atomic: adds; the new value. */
extern ulong_t atomic_add_long_nv(volatile ulong_t *p, long val);
/** Atomic: adds. */
extern void atomic_add_ptr(volatile void *p, ssize_t val);
/** Atomic: adds; the new value. */
extern void *atomic_add_ptr_nv(volatile void *p, ssize_t val);
/** Atomic: adds. */
extern void atomic_add_short(volatile ushort_t *p, short val);
/** Atomic: adds; the new value. */
extern ushort_t atomic_add_short_nv(volatile ushort_t *p, short val);
/** Atomic: ands. */
extern void atomic_and_16(volatile uint16_t *p, uint16_t val);
/** Atomic: ands; the new value. */
extern uint16_t atomic_and_16_nv(volatile uint16_t *p, uint16_t val);
/** Atomic: ands. */
extern void atomic_and_32(volatile uint32_t *p, uint32_t val);
/** Atomic: ands; the new value. */
extern uint32_t atomic_and_32_nv(volatile uint32_t *p, uint32_t val);
/** Atomic: ands. */
extern void atomic_and_64(volatile uint64_t *p, uint64_t val);
/** Atomic: ands; the new value. */
extern uint64_t atomic_and_64_nv(volatile uint64_t *p, uint64_t val);
/** Atomic: ands. */
extern void atomic_and_8(volatile uint8_t *p, uint8_t val);
/** Atomic: ands; the new value. */
extern uint8_t atomic_and_8_nv(volatile uint8_t *p, uint8_t val);
/** Atomic: ands. */
extern void atomic_and_uchar(volatile uchar_t *p, uchar_t val);
/** Atomic: ands; the new value. */
extern uchar_t atomic_and_uchar_nv(volatile uchar_t *p, uchar_t val);
/** Atomic: ands. */
extern void atomic_and_uint(volatile uint_t *p, uint_t flags);
/** Atomic: ands; the new value. */
extern uint_t atomic_and_uint_nv(volatile uint_t *p, uint_t flags);
/** Atomic: ands. */
extern void atomic_and_ulong(volatile ulong_t *p, ulong_t value);
/** Atomic: ands; the new value. */
extern ulong_t atomic_and_ulong_nv(volatile ulong_t *p, ulong_t value);
/** Atomic: ands. */
extern void atomic_and_ushort(volatile ushort_t *p, ushort_t val);
/** Atomic: ands; the new value. */
extern ushort_t atomic_and_ushort_nv(volatile ushort_t *p, ushort_t val);
/** Atomic: stores the third if the second is there; the old value. */
extern uint16_t atomic_cas_16(volatile uint16_t *p, uint16_t val, uint16_t val2);
/** Atomic: stores the third if the second is there; the old value. */
extern uint32_t atomic_cas_32(volatile uint32_t *p, uint32_t val, uint32_t val2);
/** Atomic: stores the third if the second is there; the old value. */
extern uint64_t atomic_cas_64(volatile uint64_t *p, uint64_t val, uint64_t val2);
/** Atomic: stores the third if the second is there; the old value. */
extern uint8_t atomic_cas_8(volatile uint8_t *p, uint8_t val, uint8_t val2);
/** Atomic: stores the third if the second is there; the old value. */
extern void *atomic_cas_ptr(volatile void *p, void *arg, void *arg2);
/** Atomic: stores the third if the second is there; the old value. */
extern uchar_t atomic_cas_uchar(volatile uchar_t *p, uchar_t val, uchar_t val2);
/** Atomic: stores the third if the second is there; the old value. */
extern uint_t atomic_cas_uint(volatile uint_t *p, uint_t flags, uint_t flags2);
/** Atomic: stores the third if the second is there; the old value. */
extern ulong_t atomic_cas_ulong(volatile ulong_t *p, ulong_t value, ulong_t value2);
/** Atomic: stores the third if the second is there; the old value. */
extern ushort_t atomic_cas_ushort(volatile ushort_t *p, ushort_t val, ushort_t val2);
/** Atomic: clears bit number value; -1 when it was so already. */
extern int atomic_clear_long_excl(volatile ulong_t *p, uint_t flags);
/** Atomic: subtracts 1. */
extern void atomic_dec_16(volatile uint16_t *p);
/** Atomic: subtracts 1; the new value. */
extern uint16_t atomic_dec_16_nv(volatile uint16_t *p);
/** Atomic: subtracts 1. */
extern void atomic_dec_32(volatile uint32_t *p);
/** Atomic: subtracts 1; the new value. */
extern uint32_t atomic_dec_32_nv(volatile uint32_t *p);
/** Atomic: subtracts 1. */
extern void atomic_dec_64(volatile uint64_t *p);
/** Atomic: subtracts 1; the new value. */
extern uint64_t atomic_dec_64_nv(volatile uint64_t *p);
/** Atomic: subtracts 1. */
extern void atomic_dec_8(volatile uint8_t *p);
/** Atomic: subtracts 1; the new value. */
extern uint8_t atomic_dec_8_nv(volatile uint8_t *p);
/** Atomic: subtracts 1. */
extern void atomic_dec_uchar(volatile uchar_t *p);
/** Atomic: subtracts 1; the new value. */
extern uchar_t atomic_dec_uchar_nv(volatile uchar_t *p);
/** Atomic: subtracts 1. */
extern void atomic_dec_uint(volatile uint_t *p);
/** Atomic: subtracts 1; the new value. */
extern uint_t atomic_dec_uint_nv(volatile uint_t *p);
/** Atomic: subtracts 1. */
extern void atomic_dec_ulong(volatile ulong_t *p);
/** Atomic: subtracts 1; the new value. */
extern ulong_t atomic_dec_ulong_nv(volatile ulong_t *p);
/** Atomic: subtracts 1. */
extern void atomic_dec_ushort(volatile ushort_t *p);
/** Atomic: subtracts 1; the new value. */
extern ushort_t atomic_dec_ushort_nv(volatile ushort_t *p);
/** Atomic: adds 1. */
extern void atomic_inc_16(volatile uint16_t *p);
/** Atomic: adds 1; the new value. */
extern uint16_t atomic_inc_16_nv(volatile uint16_t *p);
/** Atomic: adds 1. */
extern void atomic_inc_32(volatile uint32_t *p);
/** Atomic: adds 1; the new value. */
extern uint32_t atomic_inc_32_nv(volatile uint32_t *p);
/** Atomic: adds 1. */
extern void atomic_inc_64(volatile uint64_t *p);
/** Atomic: adds 1; the new value. */
extern uint64_t atomic_inc_64_nv(volatile uint64_t *p);
/** Atomic: adds 1. */
extern void atomic_inc_8(volatile uint8_t *p);
/** Atomic: adds 1; the new value. */
extern uint8_t atomic_inc_8_nv(volatile uint8_t *p);
/** Atomic: adds 1. */
extern void atomic_inc_uchar(volatile uchar_t *p);
/** Atomic: adds 1; the new value. */
extern uchar_t atomic_inc_uchar_nv(volatile uchar_t *p);
/** Atomic: adds 1. */
extern void atomic_inc_uint(volatile uint_t *p);
/** Atomic: adds 1; the new value. */
extern uint_t atomic_inc_uint_nv(volatile uint_t *p);
/** Atomic: adds 1. */
extern void atomic_inc_ulong(volatile ulong_t *p);
/** Atomic: adds 1; the new value. */
extern ulong_t atomic_inc_ulong_nv(volatile ulong_t *p);
/** Atomic: adds 1. */
extern void atomic_inc_ushort(volatile ushort_t *p);
/** Atomic: adds 1; the new value. */
extern ushort_t atomic_inc_ushort_nv(volatile ushort_t *p);
/** Atomic: ors. */
extern void atomic_or_16(volatile uint16_t *p, uint16_t val);
/** Atomic: ors; the new value. */
extern uint16_t atomic_or_16_nv(volatile uint16_t *p, uint16_t val);
/** Atomic: ors. */
extern void atomic_or_32(volatile uint32_t *p, uint32_t val);
/** Atomic: ors; the new value. */
extern uint32_t atomic_or_32_nv(volatile uint32_t *p, uint32_t val);
/** Atomic: ors. */
extern void atomic_or_64(volatile uint64_t *p, uint64_t val);
/** Atomic: ors; the new value. */
extern uint64_t atomic_or_64_nv(volatile uint64_t *p, uint64_t val);
/** Atomic: ors. */
extern void atomic_or_8(volatile uint8_t *p, uint8_t val);
/** Atomic: ors; the new value. */
extern uint8_t atomic_or_8_nv(volatile uint8_t *p, uint8_t val);
/** Atomic: ors. */
extern void atomic_or_uchar(volatile uchar_t *p, uchar_t val);
/** Atomic: ors; the new value. */
extern uchar_t atomic_or_uchar_nv(volatile uchar_t *p, uchar_t val);
/** Atomic: ors. */
extern void atomic_or_uint(volatile uint_t *p, uint_t flags);
/** Atomic: ors; the new value. */
extern uint_t atomic_or_uint_nv(volatile uint_t *p, uint_t flags);
/** Atomic: ors. */
extern void atomic_or_ulong(volatile ulong_t *p, ulong_t value);
/** Atomic: ors; the new value. */
extern ulong_t atomic_or_ulong_nv(volatile ulong_t *p, ulong_t value);
/** Atomic: ors. */
extern void atomic_or_ushort(volatile ushort_t *p, ushort_t val);
/** Atomic: ors; the new value. */
extern ushort_t atomic_or_ushort_nv(volatile ushort_t *p, ushort_t val);
/** Atomic: sets bit number value; -1 when it was so already. */
extern int atomic_set_long_excl(volatile ulong_t *p, uint_t flags);
/** Atomic: exchanges; the old value. */
extern uint16_t atomic_swap_16(volatile uint16_t *p, uint16_t val);
/** Atomic: exchanges; the old value. */
extern uint32_t atomic_swap_32(volatile uint32_t *p, uint32_t val);
/** Atomic: exchanges; the old value. */
extern uint64_t atomic_swap_64(volatile uint64_t *p, uint64_t val);
/** Atomic: exchanges; the old value. */
extern uint8_t atomic_swap_8(volatile uint8_t *p, uint8_t val);
/** Atomic: exchanges; the old value. */
extern void *atomic_swap_ptr(volatile void *p, void *arg);
/** Atomic: exchanges; the old value. */
extern uchar_t atomic_swap_uchar(volatile uchar_t *p, uchar_t val);
/** Atomic: exchanges; the old value. */
extern uint_t atomic_swap_uint(volatile uint_t *p, uint_t flags);
/** Atomic: exchanges; the old value. */
extern ulong_t atomic_swap_ulong(volatile ulong_t *p, ulong_t value);
/** Atomic: exchanges; the old value. */
extern ushort_t atomic_swap_ushort(volatile ushort_t *p, ushort_t val);
/** Loads before it are done before loads after it. */
extern void membar_consumer(void);
/** For taking a lock: nothing after it is done before. */
extern void membar_enter(void);
/** For giving up a lock: nothing before it is done after. */
extern void membar_exit(void);
/** Stores before it are seen before stores after it. */
extern void membar_producer(void);

#endif /* _SYS_ATOMIC_H */
