#!/usr/sbin/dtrace -s
/*
 * The pages that fault most, by device offset, with the code that touches them. Shows ten of them every second, and ends at Ctrl-C.
 */
#pragma D option quiet

sdt:::devmap-fault
/(uint_t)arg4 == 0/
{
	@faults[probemod, arg2, execname, ufunc(uregs[R_PC])] = count();
}

profile:::tick-1sec
{
	printf("\n%-12s %-12s %-16s %-32s %10s\n", "MODULE", "OFFSET", "PROGRAM", "CODE", "FAULTS");
	trunc(@faults, 10);
	printa("%-12s %-12x %-16s %-32A %@10u\n", @faults);
	trunc(@faults);
}
