# While there is a human, one ping every interval over one connection; then the budget, the timeout, and nothing more.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Heartbeat::Browser;
use Heartbeat::Test;
use Test::More;

my $redis = redis();
my $server = site(
    main => [ [ heartbeat_redis => $redis->url ], [ heartbeat_flush => '100ms' ] ],
    settings => [ [ heartbeat_idle => '5s' ] ],
    locations => {
        '/hb/patient.js' => { endpoint => 'script', settings => [ [ heartbeat_idle => '1h' ] ] },
        '/hb/steady.js' => { endpoint => 'script', settings => [ [ heartbeat_interval => '2s' ], [ heartbeat_idle => '20s' ] ] },
    },
    pages => {
        '/page.html' => page(''),
        '/steady.html' => page('') =~ s/client\.js/steady.js/r,
        '/patient.html' => page('') =~ s/client\.js/patient.js/r,
        '/no-worker.html' => page('data-worker="off"') =~ s/client\.js/patient.js/r,
    },
);
in_browser('01-pings.mjs', $server, calls => { session => sub { $redis->session('127.0.0.1', $_[0]) } });
no_bad_log_lines();
done_testing;
