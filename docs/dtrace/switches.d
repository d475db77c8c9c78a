#!/usr/sbin/dtrace -s
/*
 * Who takes the context of a device from whom: module, engine, the process that had it, the process that got it, and how often.
 * Ends at Ctrl-C.
 */
#pragma D option quiet

sdt:::devmap-context-wait
{
	self->engine = (uint_t)arg4;
}

sdt:::devmap-context-switch
/holder[probemod, self->engine] && holder[probemod, self->engine] != arg1/
{
	@switches[probemod, self->engine, was[probemod, self->engine], of[probemod, self->engine], execname, pid] = count();
}

sdt:::devmap-context-switch
{
	holder[probemod, self->engine] = arg1;
	was[probemod, self->engine] = execname;
	of[probemod, self->engine] = pid;
}

dtrace:::END
{
	printf("%-12s %6s %-16s %6s %-16s %6s %10s\n", "MODULE", "ENGINE", "FROM", "PID", "TO", "PID", "SWITCHES");
	printa("%-12s %6d %-16s %6d %-16s %6d %@10u\n", @switches);
}
