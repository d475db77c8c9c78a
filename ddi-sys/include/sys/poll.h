/*
 * Polling: events, and the list of pollers that a driver keeps.
 */
#ifndef _SYS_POLL_H
#define _SYS_POLL_H

#include <sys/types.h>

struct polldat;
/** A driver's list of pollers: zeroed, then only passed on. */
typedef struct pollhead {
    struct polldat *ph_list;
    void *ph_pad1;
    short ph_pad2;
} pollhead_t;

struct pollfd {
    int fd;
    short events;
    short revents;
};
typedef struct pollfd pollfd_t;

#define POLLCLOSED 0x8000
#define POLLERR 8
#define POLLET 0x2000 /* 2019 headers only */
#define POLLHUP 0x10
#define POLLIN 1
#define POLLNOERR 0x400
#define POLLNORM 0x40
#define POLLNVAL 0x20
#define POLLONESHOT 0x1000 /* 2019 headers only */
#define POLLOUT 4
#define POLLPRI 2
#define POLLRDBAND 0x80
#define POLLRDDATA 0x200
#define POLLRDHUP 0x4000 /* 2019 headers only */
#define POLLRDNORM 0x40
#define POLLREMOVE 0x800
#define POLLWRBAND 0x100
#define POLLWRNORM 4

/** Before the pollhead's memory goes away. */
extern void pollhead_clean(pollhead_t *php);
/** Wakes pollers; without a lock that chpoll(9E) takes. */
extern void pollwakeup(pollhead_t *php, short event);

#endif /* _SYS_POLL_H */
