#!/usr/sbin/dtrace -s
/*
 * How long a driver takes to serve an access, in nanoseconds: with a switch of the context, and without one. Ends at Ctrl-C.
 */
#pragma D option quiet

sdt:::devmap-fault
/(uint_t)arg4 == 0/
{
	self->begin = timestamp;
	self->switches = 0;
}

sdt:::devmap-context-switch
/self->begin/
{
	self->switches = 1;
}

sdt:::devmap-fault-done
/self->begin && (int)arg0 == 0/
{
	@times[probemod, self->switches ? "with a switch" : "without a switch"] = quantize(timestamp - self->begin);
}

sdt:::devmap-fault-done
/self->begin && (int)arg0 != 0/
{
	@errors[probemod, (int)arg0] = count();
}

sdt:::devmap-fault-done
{
	self->begin = 0;
	self->switches = 0;
}

dtrace:::END
{
	printa("%s: %s\n%@d\n", @times);
	printa("%s: error %d: %@u accesses\n", @errors);
}
