# A server that goes and comes back, a network that is lost.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Heartbeat::Browser;
use Heartbeat::Test;
use Test::More;

my $server = site(
    locations => { '/hb/slow.js' => { endpoint => 'script', settings => [ [ heartbeat_interval => '3s' ] ] } },
    pages => { '/page.html' => page(''), '/slow.html' => page('') =~ s/client\.js/slow.js/r },
);
in_browser('03-network.mjs', $server, calls => { stop => sub { $server->stop }, start => sub { $server->start; 1 } });
no_bad_log_lines();
done_testing;
