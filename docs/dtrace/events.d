#!/usr/sbin/dtrace -s
/*
 * Every event, a line each: what ddi-host trace --from-dtrace reads. Ends at Ctrl-C.
 *
 *	dtrace -s events.d -o events.txt
 */
#pragma D option quiet
#pragma D option bufsize=16m

dtrace:::BEGIN
{
	printf("devmap-events 1 %d %d\n", timestamp, walltimestamp);
}

/* A probe that has fewer arguments than that has anything in their place. A kernel thread has no instruction of a program. */
sdt:::devmap-*
{
	used[pid] = 1;
	printf("%d %d %d %s %s %x %x %x %x %x %x %x %s\n", timestamp, pid, tid, probemod, probename,
	    arg0, arg1, arg2, arg3, arg4, arg5, curthread->t_lwp != 0 ? uregs[R_PC] : 0, execname);
}

proc:::create
/used[pid]/
{
	printf("%d %d %d - create %x 0 0 0 0 0 0 %s\n", timestamp, pid, tid, args[0]->pr_pid, execname);
}

proc:::exit
/used[pid]/
{
	printf("%d %d %d - exit 0 0 0 0 0 0 0 %s\n", timestamp, pid, tid, execname);
	used[pid] = 0;
}
