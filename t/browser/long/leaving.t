# What a page recorded arrives, fifty times for each transport and each way of leaving (HEARTBEAT_TIMES, HEARTBEAT_ORDERS;
# HEARTBEAT_LEAVING=closed: only browsers that are closed). That takes an hour and a half. A few browsers that a program ends
# will have lost something, as the manual says; nothing else may.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../../lib";

$ENV{HEARTBEAT_TIMES} //= 50;
do "$FindBin::Bin/../10-leaving.t" or die $@ || $!;
