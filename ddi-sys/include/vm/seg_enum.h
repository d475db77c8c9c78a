/*
 * Kinds of fault and access, as address spaces name them.
 */
#ifndef _VM_SEG_ENUM_H
#define _VM_SEG_ENUM_H

enum fault_type { F_INVAL, F_PROT, F_SOFTLOCK, F_SOFTUNLOCK };
enum lock_type { L_PAGELOCK, L_PAGEUNLOCK };
typedef enum { S_CAPABILITY_NOMINFLT } segcapability_t;
enum seg_rw { S_OTHER, S_READ, S_WRITE, S_EXEC, S_CREATE, S_READ_NOCOW };

#endif /* _VM_SEG_ENUM_H */
