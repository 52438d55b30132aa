# An audit waits for Redis, and for nothing else: Redis frozen, killed, silent, slow; clients that leave; servers that
# stop. It is answered in time, pings do not notice, and nothing is left behind.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Heartbeat::Test;
use Test::More;

my $redis = redis();
my $proxy = proxy(to => $redis->port);
my $slack = Heartbeat::Server::sanitized() ? 1.5 : 0.7;
my $server = server(
    workers => 1,    # so that pings and audits are in one process
    main => [ [ heartbeat_zone => '1m' ], [ heartbeat_flush => '200ms' ] ],
    vhosts => [
        { name => 'one.test', settings => [ [ heartbeat_redis => $redis->url ] ], locations => { '/audit' => { endpoint => 'audit' }, both_endpoints() } },
        { name => 'proxied.test', settings => [ [ heartbeat_redis => $proxy->url ] ], locations => { '/audit' => { endpoint => 'audit' } } },
        { name => 'memory.test', locations => { '/audit' => { endpoint => 'audit' } } },
    ],
);
$server->start;
$redis->call('ZADD', 'hb:{one.test}:active:2024-02-29', 1000, 'alice');
$redis->call('ZADD', 'hb:{proxied.test}:active:2024-02-29', 1000, 'alice');
my $TARGET = '/audit?from=2024-02-29&to=2024-02-29';

# One audit: its status and how long it took.
sub audit {
    my (%o) = @_;
    my $start = time;
    my $r = $server->fetch('GET', $TARGET, %o);
    return ($r ? $r->status : 'none', time - $start, $r);
}

sub is_refused {
    my ($least, $most, $name, %o) = @_;
    my ($status, $took, $r) = audit(%o);
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    is($status, 503, "$name: 503") or return;
    cmp_ok($took, '<=', $most + $slack, sprintf '%s: after %.2f s', $name, $took);
    cmp_ok($took, '>=', $least, "$name: not earlier") if $least;
    like($r->header('retry-after'), qr/^[1-9]\d*$/, 'Retry-After');
    like($r->body, qr/Redis/, 'says why');
    is($r->header('cache-control'), 'no-store', 'not stored');
}

sub works { my ($name, %o) = @_; local $Test::Builder::Level = $Test::Builder::Level + 1; ok(eventually(sub { (audit(%o))[0] eq '200' }, 8), $name) }

sub redis_clients { return scalar(my @all = split /\n/, $redis->call('CLIENT', 'LIST')) }

works('before all');
works('before all, through the proxy', host => 'proxied.test');
my $calm = redis_clients();

subtest 'no Redis' => sub {
    is_refused(0, 0, 'memory only', host => 'memory.test');
};

subtest 'frozen' => sub {
    my $load = load($server, clients => 2, sessions => 20, pause => 0.005);
    sleep 2;
    my $frozen = time;
    $redis->freeze;
    is_refused(1.9, 2, 'the first');
    is_refused(0, $server->is_nginx ? 0.1 : 2, 'the next, as its process knows by now');
    sleep 1.2;
    my $begin = time;
    my @clients = map { $server->connect } 1 .. 30;
    $_->send($_->request_bytes('GET', $TARGET)) for @clients;
    my @answers = map { $_->response('GET') } @clients;
    is(scalar(grep { $_ && $_->status == 503 } @answers), 30, 'thirty at a time: all get an answer');
    cmp_ok(time - $begin, '<', ($server->is_prefork ? 8 : 2) + 2 * $slack, sprintf 'within %.2f s', time - $begin);
    ok(scalar(grep { $_ && $_->body =~ /too many|does not answer/ } @answers) == 30, 'and a reason');
    my $asked = time;
    is($server->ping('after')->status, 204, 'a ping right behind them');
    cmp_ok(time - $asked, '<', 0.5, 'at once: whoever answered them is free again');
    sleep 0.5;
    my $thawed = time;
    $redis->thaw;
    works('and when Redis is back, it answers');
    my $report = $load->finish;
    is(scalar @{ $report->{failed} }, 0, 'no ping failed') or diag explain $report->{failed};
    my ($before, $during) = map { percentile($report, 0.99, @$_) } [ 0, $frozen ], [ $frozen, $thawed ];
    my $limit = $before * 5 > 0.05 ? $before * 5 : 0.05;
    cmp_ok($during, '<', $limit, sprintf '99%% of the pings: %.1f ms before, %.1f ms during', 1000 * $before, 1000 * $during);
    cmp_ok(percentile($report, 1, $frozen, $thawed), '<', 1, 'none waited');
};

subtest 'silent' => sub {
    $proxy->mode('blackhole');
    is_refused(1.9, 2, 'nothing comes back', host => 'proxied.test');
    $proxy->mode('pass');
    sleep 1.1;
    works('afterwards', host => 'proxied.test');
    $proxy->mode('half', match => '^EVAL', count => 99);
    is_refused(1.9, 2, 'half an answer', host => 'proxied.test');
    sleep 1.1;
    $proxy->mode('pass');
    works('afterwards', host => 'proxied.test');
    $proxy->mode('drop', match => '^EVAL', count => 99, close => 1);
    is_refused(0, 0.2, 'cut off in the middle', host => 'proxied.test');
    $proxy->mode('pass');
    works('afterwards', host => 'proxied.test');
    $proxy->mode('replace', match => '^EVAL', count => 99, raw => "-OOM command not allowed\r\n");
    is_refused(0, 0.2, 'an error', host => 'proxied.test');
    $proxy->mode('pass');
    works('afterwards', host => 'proxied.test');
};

subtest 'scripts forgotten' => sub {
    $redis->call('SCRIPT', 'FLUSH');
    is((audit())[0], 200, 'it sends the script again');
};

subtest 'clients that leave' => sub {
    $redis->freeze;
    my @clients = map { $server->connect } 1 .. 10;
    $_->send($_->request_bytes('GET', $TARGET)) for @clients;
    sleep 0.3;
    $_->close for @clients;
    sleep 0.2;
    is($server->ping('alive')->status, 204, 'the server goes on');
    sleep 2.2;
    $redis->thaw;
    works('and answers others');
    ok(eventually(sub { redis_clients() <= $calm + 1 }, 8), 'no connection is left behind') or diag $redis->call('CLIENT', 'LIST');
};

subtest 'a reload while one waits' => sub {
    $redis->freeze;
    sleep 1.1;
    my $client = $server->connect;
    $client->send($client->request_bytes('GET', $TARGET));
    sleep 0.3;
    $server->reload;
    my $r = $client->response('GET');
    is($r && $r->status, 503, 'it is answered in time all the same');
    is($server->ping('new')->status, 204, 'the new ones are there');
    $redis->thaw;
    works('and ask Redis');
    my $most = $server->is_prefork ? 42 : $server->is_apache ? 6 : 1;
    ok(eventually(sub { scalar(my @pids = $server->workers) <= $most }, 12), 'the old ones have left') or diag join ' ', $server->workers;
};

subtest 'killed' => sub {
    $redis->kill;
    is_refused(0, 0.2, "attempt $_") for 1 .. 3;
    is($server->ping('alone')->status, 204, 'pings go on');
    $redis->start;
    $redis->call('ZADD', 'hb:{one.test}:active:2024-02-29', 1000, 'alice');
    works('when it is back');
};

subtest 'a full stop while one waits' => sub {
    $redis->freeze;
    sleep 1.1;
    my $client = $server->connect;
    $client->send($client->request_bytes('GET', $TARGET));
    sleep 0.3;
    my $start = time;
    ok($server->quit, 'it leaves');
    cmp_ok(time - $start, '<', 12, 'before long');
    my $r = $client->response('GET');
    is($r && $r->status, 503, 'and has answered');
    $redis->thaw;
};

no_bad_log_lines();
done_testing;
