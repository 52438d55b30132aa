# A worker or child of an earlier configuration that is held by a download does not stand in the way of the new one.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Heartbeat::Test;
use Test::More;

my $redis = redis();
my $prefix = [ heartbeat_prefix => 'one' ];
my $server = server(
    main => [ [ heartbeat_zone => '1m' ], [ heartbeat_redis => $redis->url ], [ heartbeat_flush => '200ms' ], $prefix ],
    vhosts => [ { name => 'one.test', settings => [ [ heartbeat_ids => 'plain' ] ], locations => { both_endpoints(), '/big.bin' => {} } } ],
);
$server->start;
open my $big, '>', "$server->{dir}/htdocs/big.bin" or die $!;
truncate $big, 64 * 1024 * 1024;
close $big;

my $asked = now_ms();
is($server->ping('before')->status, 204, 'a ping');
ok(eventually { $redis->call('ZSCORE', 'one:{one.test}:seen', 'before') }, 'recorded under the first prefix');

# As many downloads as there may be processes, so that the one that flushes has one as well; nobody reads them.
my @slow = map { my $c = $server->connect; $c->send($c->request_bytes('GET', '/big.bin')); $c } 1 .. 8;
sleep 0.5;
$prefix->[1] = 'two';
$server->reload;
sleep 1;
is($server->ping('after')->status, 204, 'a ping under the new configuration');
ok(eventually(sub { $redis->call('ZSCORE', 'two:{one.test}:seen', 'after') }, 6), 'recorded under the second prefix');

$_->close for @slow;
no_bad_log_lines();
done_testing;
