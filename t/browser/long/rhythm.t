# Ten minutes in front and in a hidden tab, in real time: browsers let its own timers run late, after five perhaps once a minute.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../../lib";
use Heartbeat::Browser;
use Heartbeat::Test;
use Test::More;

my $server = site(
    settings => [ [ heartbeat_idle => '1h' ], [ heartbeat_keepalive_timeout => '75s' ] ],
    locations => { '/hb/slow.js' => { endpoint => 'script', settings => [ [ heartbeat_interval => '10s' ] ] } },
    pages => { map { ("/$_.html" => page($_ eq 'plain' ? 'data-worker="off"' : '') =~ s/client\.js/slow.js/r) } qw(worker plain) },
);
in_browser('rhythm.mjs', $server);
no_bad_log_lines();
done_testing;
