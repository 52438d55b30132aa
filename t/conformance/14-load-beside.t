# Ours loads beside modules that have a similar name or bring the same library.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Heartbeat::Test;
use Test::More;

my %neighbours = (
    nginx => ['/usr/lib/nginx/modules/ngx_nchan_module.so'],
    apache => [ map {"${_}_module /usr/lib/apache2/modules/mod_$_.so"} qw(heartbeat heartmonitor) ],
);
my @modules = @{ $neighbours{ Heartbeat::Server::kind() eq 'nginx' ? 'nginx' : 'apache' } };

my $redis = redis();
for my $order (qw(before after)) {
    subtest "the neighbours loaded $order ours" => sub {
        my $server = server(
            "extra_modules_$order" => \@modules,
            main => [ [ heartbeat_zone => '1m' ], [ heartbeat_redis => $redis->url ], [ heartbeat_flush => '200ms' ] ],
            native_main_apache => "HeartbeatStorage run/hb.dat\nHeartbeatMaxServers 0\n",
            vhosts => [ {
                name => 'one.test', settings => [ [ heartbeat_ids => 'plain' ] ], native_nginx => 'location = /sub { nchan_subscriber; nchan_channel_id x; }',
                locations => { both_endpoints() },
            } ],
        );
        my ($code, $text) = $server->configtest;
        is($code, 0, 'the configuration is good') or diag $text;
        $server->start;
        my $asked = now_ms();
        is($server->ping("n-$order")->status, 204, 'a ping');
        last_seen_is($redis, 'one.test', "n-$order", $asked, now_ms(), 'recorded');
        $server->reload;
        is($server->ping("r-$order")->status, 204, 'a ping after a reload');
        ok(eventually { $redis->seen('one.test', "r-$order") }, 'recorded');
        sleep 2;    # nchan's own assertion fails in a worker that is stopped while it begins
        ok($server->stop, 'and it stops');
    };
}

no_bad_log_lines();
done_testing;
