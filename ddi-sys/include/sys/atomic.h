/*
 * Atomic memory operations and barriers.
 */
#ifndef _SYS_ATOMIC_H
#define _SYS_ATOMIC_H

#include <sys/types.h>

extern void atomic_add_16(volatile uint16_t *p, int16_t val);
extern uint16_t atomic_add_16_nv(volatile uint16_t *p, int16_t val);
/** The same. */
extern void atomic_add_32(volatile uint32_t *p, int32_t val);
extern uint32_t atomic_add_32_nv(volatile uint32_t *p, int32_t val);
/** The same. */
extern void atomic_add_64(volatile uint64_t *p, int64_t val);
extern uint64_t atomic_add_64_nv(volatile uint64_t *p, int64_t val);
extern void atomic_add_8(volatile uint8_t *p, int8_t val);
extern uint8_t atomic_add_8_nv(volatile uint8_t *p, int8_t val);
extern void atomic_add_char(volatile uchar_t *p, signed char val);
extern uchar_t atomic_add_char_nv(volatile uchar_t *p, signed char val);
extern void atomic_add_int(volatile uint_t *p, int flag);
extern uint_t atomic_add_int_nv(volatile uint_t *p, int flag);
extern void atomic_add_long(volatile ulong_t *p, long val);
extern ulong_t atomic_add_long_nv(volatile ulong_t *p, long val);
extern void atomic_add_ptr(volatile void *p, ssize_t val);
extern void *atomic_add_ptr_nv(volatile void *p, ssize_t val);
extern void atomic_add_short(volatile ushort_t *p, short val);
extern ushort_t atomic_add_short_nv(volatile ushort_t *p, short val);
extern void atomic_and_16(volatile uint16_t *p, uint16_t val);
extern uint16_t atomic_and_16_nv(volatile uint16_t *p, uint16_t val);
extern void atomic_and_32(volatile uint32_t *p, uint32_t val);
extern uint32_t atomic_and_32_nv(volatile uint32_t *p, uint32_t val);
extern void atomic_and_64(volatile uint64_t *p, uint64_t val);
extern uint64_t atomic_and_64_nv(volatile uint64_t *p, uint64_t val);
extern void atomic_and_8(volatile uint8_t *p, uint8_t val);
extern uint8_t atomic_and_8_nv(volatile uint8_t *p, uint8_t val);
extern void atomic_and_uchar(volatile uchar_t *p, uchar_t val);
extern uchar_t atomic_and_uchar_nv(volatile uchar_t *p, uchar_t val);
extern void atomic_and_uint(volatile uint_t *p, uint_t flags);
extern uint_t atomic_and_uint_nv(volatile uint_t *p, uint_t flags);
extern void atomic_and_ulong(volatile ulong_t *p, ulong_t value);
extern ulong_t atomic_and_ulong_nv(volatile ulong_t *p, ulong_t value);
extern void atomic_and_ushort(volatile ushort_t *p, ushort_t val);
extern ushort_t atomic_and_ushort_nv(volatile ushort_t *p, ushort_t val);
extern uint16_t atomic_cas_16(volatile uint16_t *p, uint16_t val, uint16_t val2);
extern uint32_t atomic_cas_32(volatile uint32_t *p, uint32_t val, uint32_t val2);
extern uint64_t atomic_cas_64(volatile uint64_t *p, uint64_t val, uint64_t val2);
extern uint8_t atomic_cas_8(volatile uint8_t *p, uint8_t val, uint8_t val2);
/** The same. */
extern void *atomic_cas_ptr(volatile void *p, void *arg, void *arg2);
extern uchar_t atomic_cas_uchar(volatile uchar_t *p, uchar_t val, uchar_t val2);
extern uint_t atomic_cas_uint(volatile uint_t *p, uint_t flags, uint_t flags2);
extern ulong_t atomic_cas_ulong(volatile ulong_t *p, ulong_t value, ulong_t value2);
extern ushort_t atomic_cas_ushort(volatile ushort_t *p, ushort_t val, ushort_t val2);
extern int atomic_clear_long_excl(volatile ulong_t *p, uint_t flags);
extern void atomic_dec_16(volatile uint16_t *p);
extern uint16_t atomic_dec_16_nv(volatile uint16_t *p);
extern void atomic_dec_32(volatile uint32_t *p);
extern uint32_t atomic_dec_32_nv(volatile uint32_t *p);
extern void atomic_dec_64(volatile uint64_t *p);
extern uint64_t atomic_dec_64_nv(volatile uint64_t *p);
extern void atomic_dec_8(volatile uint8_t *p);
extern uint8_t atomic_dec_8_nv(volatile uint8_t *p);
extern void atomic_dec_uchar(volatile uchar_t *p);
extern uchar_t atomic_dec_uchar_nv(volatile uchar_t *p);
extern void atomic_dec_uint(volatile uint_t *p);
extern uint_t atomic_dec_uint_nv(volatile uint_t *p);
extern void atomic_dec_ulong(volatile ulong_t *p);
extern ulong_t atomic_dec_ulong_nv(volatile ulong_t *p);
extern void atomic_dec_ushort(volatile ushort_t *p);
extern ushort_t atomic_dec_ushort_nv(volatile ushort_t *p);
extern void atomic_inc_16(volatile uint16_t *p);
extern uint16_t atomic_inc_16_nv(volatile uint16_t *p);
/**
 * Atomic_* family on 8, 16, 32, 64 bits, int, long, pointer: add, inc, dec, and, or, swap, cas,
 * each with _nv returning the new value.
 */
extern void atomic_inc_32(volatile uint32_t *p);
extern uint32_t atomic_inc_32_nv(volatile uint32_t *p);
extern void atomic_inc_64(volatile uint64_t *p);
extern uint64_t atomic_inc_64_nv(volatile uint64_t *p);
extern void atomic_inc_8(volatile uint8_t *p);
extern uint8_t atomic_inc_8_nv(volatile uint8_t *p);
extern void atomic_inc_uchar(volatile uchar_t *p);
extern uchar_t atomic_inc_uchar_nv(volatile uchar_t *p);
/** The same for uint_t. */
extern void atomic_inc_uint(volatile uint_t *p);
extern uint_t atomic_inc_uint_nv(volatile uint_t *p);
extern void atomic_inc_ulong(volatile ulong_t *p);
extern ulong_t atomic_inc_ulong_nv(volatile ulong_t *p);
extern void atomic_inc_ushort(volatile ushort_t *p);
extern ushort_t atomic_inc_ushort_nv(volatile ushort_t *p);
extern void atomic_or_16(volatile uint16_t *p, uint16_t val);
extern uint16_t atomic_or_16_nv(volatile uint16_t *p, uint16_t val);
extern void atomic_or_32(volatile uint32_t *p, uint32_t val);
extern uint32_t atomic_or_32_nv(volatile uint32_t *p, uint32_t val);
extern void atomic_or_64(volatile uint64_t *p, uint64_t val);
extern uint64_t atomic_or_64_nv(volatile uint64_t *p, uint64_t val);
extern void atomic_or_8(volatile uint8_t *p, uint8_t val);
extern uint8_t atomic_or_8_nv(volatile uint8_t *p, uint8_t val);
extern void atomic_or_uchar(volatile uchar_t *p, uchar_t val);
extern uchar_t atomic_or_uchar_nv(volatile uchar_t *p, uchar_t val);
extern void atomic_or_uint(volatile uint_t *p, uint_t flags);
extern uint_t atomic_or_uint_nv(volatile uint_t *p, uint_t flags);
extern void atomic_or_ulong(volatile ulong_t *p, ulong_t value);
extern ulong_t atomic_or_ulong_nv(volatile ulong_t *p, ulong_t value);
extern void atomic_or_ushort(volatile ushort_t *p, ushort_t val);
extern ushort_t atomic_or_ushort_nv(volatile ushort_t *p, ushort_t val);
extern int atomic_set_long_excl(volatile ulong_t *p, uint_t flags);
extern uint16_t atomic_swap_16(volatile uint16_t *p, uint16_t val);
extern uint32_t atomic_swap_32(volatile uint32_t *p, uint32_t val);
extern uint64_t atomic_swap_64(volatile uint64_t *p, uint64_t val);
extern uint8_t atomic_swap_8(volatile uint8_t *p, uint8_t val);
extern void *atomic_swap_ptr(volatile void *p, void *arg);
extern uchar_t atomic_swap_uchar(volatile uchar_t *p, uchar_t val);
extern uint_t atomic_swap_uint(volatile uint_t *p, uint_t flags);
extern ulong_t atomic_swap_ulong(volatile ulong_t *p, ulong_t value);
extern ushort_t atomic_swap_ushort(volatile ushort_t *p, ushort_t val);
extern void membar_consumer(void);
extern void membar_enter(void);
extern void membar_exit(void);
/** Store-store barrier. Also membar_consumer, membar_enter, membar_exit. */
extern void membar_producer(void);

#endif /* _SYS_ATOMIC_H */
