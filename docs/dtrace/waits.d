#!/usr/sbin/dtrace -s
/*
 * How long processes wait for the context of a device, from the request to the grant, in nanoseconds. Ends at Ctrl-C.
 */
#pragma D option quiet

sdt:::devmap-context-wait
/!self->asked/
{
	self->asked = timestamp;
}

sdt:::devmap-context-switch
/self->asked/
{
	@waits[probemod, execname, pid] = quantize(timestamp - self->asked);
	@sum[probemod, execname, pid] = sum(timestamp - self->asked);
	self->asked = 0;
}

/* A framework in the module makes an access that has waited for long begin anew: that is the same wait. */
sdt:::devmap-fault-done
/(int)arg0 == 0/
{
	self->asked = 0;
}

dtrace:::END
{
	printa("%s: %s %d\n%@d\n", @waits);
	printf("%-12s %-16s %6s %16s\n", "MODULE", "PROGRAM", "PID", "WAITED (ns)");
	printa("%-12s %-16s %6d %@16u\n", @sum);
}
