# A reload takes new settings into use and keeps the table; a changed zone waits for a full restart and says so.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Heartbeat::Test;
use Test::More;

my $redis = redis();
my $proxy = proxy(to => $redis->port);
my $server = server(
    main => [ [ heartbeat_zone => '1m' ], [ heartbeat_redis => $proxy->url ], [ heartbeat_flush => '200ms' ] ],
    vhosts => [ { name => 'one.test', settings => [ [ heartbeat_ids => 'plain' ] ], locations => { both_endpoints() } } ],
)->start;

sub pinged { my ($id, $times) = @_; return scalar grep { my $r = $server->ping($id); $r && $r->status == 204 } 1 .. $times }
sub beats_become { my ($id, $n, $name) = @_; my $got; eventually { $got = $redis->beats('one.test', $id); ($got // 0) == $n } 8; is($got, $n, $name) }

subtest 'new settings' => sub {
    ok($server->ping('alice')->header('date'), 'not trimmed');
    push @{ $server->{vhosts}[0]{settings} }, [ heartbeat_trim => 'on' ];
    $server->reload;
    ok(eventually { !$server->ping('alice')->header('date') }, 'trimmed after the reload');
};

subtest 'the table is handed over' => sub {
    $proxy->mode('refuse');
    is(pinged('carried', 5), 5, 'five pings while Redis is away');
    $server->reload;
    is(pinged('carried', 5), 5, 'five more after a reload');
    $server->reload;
    is(pinged('carried', 1), 1, 'one more after another');
    sleep 0.5;
    $proxy->mode('pass');
    beats_become('carried', 11, 'Redis hears of all of them');
};

subtest 'a changed zone size' => sub {
    $proxy->mode('refuse');
    my $asked = now_ms();
    is(pinged('sized', 4), 4, 'four pings while Redis is away');
    my $answered = now_ms();
    my ($zone) = grep { $_->[0] eq 'heartbeat_zone' } @{ $server->{main} };
    $zone->[1] = '4m';
    $server->reload;
    ok(eventually { $server->error_log =~ /[Hh]eart_?[Bb]eat.*restart/ }, 'the log says that it needs a restart') or diag substr $server->error_log, -2000;
    is(pinged('sized', 3), 3, 'three more');
    sleep 0.3;
    $proxy->mode('pass');
    beats_become('sized', 7, 'the old table was kept');
};

subtest 'many reloads in a row' => sub {
    $server->reload for 1 .. 5;
    is(pinged('many', 10), 10, 'it still answers');
    beats_become('many', 10, 'and records');
    my $most = $server->is_prefork ? 42 : $server->is_apache ? 6 : 2;
    ok(eventually(sub { scalar(my @pids = $server->workers) <= $most }, 12), 'old workers have left') or diag join ' ', $server->workers;
    ok(eventually(sub { @{ $proxy->stats->{peers} } <= 2 }, 5), 'and closed their connections to Redis');
};

ok($server->quit, 'a graceful stop ends by itself');

no_bad_log_lines();
done_testing;
