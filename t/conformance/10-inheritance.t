# main, virtual host, location: what is set outside holds inside until it is set there.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Heartbeat::Test;
use Test::More;

my ($redis, $other) = (redis(), redis());
my %ping = (endpoint => 'ping');
my $server = server(
    main => [ [ heartbeat_zone => '1m' ], [ heartbeat_redis => $redis->url ], [ heartbeat_flush => '200ms' ], [ heartbeat_prefix => 'outer' ] ],
    vhosts => [
        {   name => 'one.test',
            settings => [
                [ heartbeat_ids => 'plain' ], [ heartbeat_session => 'cookie:SID' ], [ heartbeat_track => 'on' ],
                [ heartbeat_trim => 'on' ], [ heartbeat_origin => 'https://a.example' ], [ heartbeat_keepalive_pings => 2 ],
            ],
            locations => {
                '/inherits' => {%ping},
                '/session' => { %ping, settings => [ [ heartbeat_session => 'header:X-Session' ] ] },
                '/site' => { %ping, settings => [ [ heartbeat_site => 'elsewhere' ] ] },
                '/untrimmed' => { %ping, settings => [ [ heartbeat_trim => 'off' ] ] },
                '/origin' => { %ping, settings => [ [ heartbeat_origin => 'https://b.example' ] ] },
                '/budget' => { %ping, settings => [ [ heartbeat_keepalive_pings => 0 ] ] },
                '/tracked.txt' => {},
                '/untracked.txt' => { settings => [ [ heartbeat_track => 'off' ] ] },
            },
        },
        {   name => 'two.test', settings => [ [ heartbeat_ids => 'plain' ], [ heartbeat_site => 'one.test' ] ], locations => { '/ping' => {%ping} } },
        {   name => 'three.test',
            settings => [ [ heartbeat_ids => 'plain' ], [ heartbeat_redis => $other->url ], [ heartbeat_prefix => 'inner' ] ],
            locations => { '/ping' => {%ping} } },
        {   name => 'four.test', settings => [ [ heartbeat_ids => 'plain' ] ], locations => { '/ping' => {%ping} } },
    ],
)->start;

sub get { my ($path, @headers) = @_; return $server->fetch('GET', $path, headers => [@headers]) }
sub arrives { my ($redis, $prefix, $site, $id) = @_; return eventually { $redis->seen($site, $id, $prefix) } 3 }

subtest 'from main and from the virtual host' => sub {
    my $r = get('/inherits', 'Cookie: SID=alice');
    is($r->raw, "HTTP/1.1 204 No Content\r\n\r\n", 'trimmed');
    ok(arrives($redis, outer => 'one.test', 'alice'), "main's Redis and prefix, the host's session source and ids");
    is(get('/inherits', 'Origin: https://a.example')->header('access-control-allow-origin'), 'https://a.example', 'origin');
};

subtest 'a location has its own' => sub {
    get('/session', 'X-Session: bob', 'Cookie: SID=not');
    ok(arrives($redis, outer => 'one.test', 'bob'), 'session source');
    get('/site', 'Cookie: SID=carol');
    ok(arrives($redis, outer => 'elsewhere', 'carol'), 'site');
    ok(get('/untrimmed')->header('date'), 'trim');
    is(get('/origin', 'Origin: https://a.example')->header('access-control-allow-origin'), undef, 'origins replace, not add');
    is(get('/origin', 'Origin: https://b.example')->header('access-control-allow-origin'), 'https://b.example', 'origin');
    is($redis->seen('one.test', 'not', 'outer'), undef, 'the outer source is not used');
};

subtest 'budgets' => sub {
    my $c = $server->connect;
    my @closes = map { my $r = $c->request('HEAD', '/inherits'); $r ? ($r->header('connection') // '') : 'none' } 1, 2;
    is($closes[1], 'close', "the host's budget");
    $c = $server->connect;
    @closes = map { my $r = $c->request('HEAD', '/budget'); $r ? ($r->header('connection') // '') : 'none' } 1 .. 4;
    unlike("@closes", qr/close|none/, "no budget in the location");
};

subtest 'tracking' => sub {
    get('/untracked.txt', 'Cookie: SID=ursula');
    get('/tracked.txt', 'Cookie: SID=tom');
    ok(arrives($redis, outer => 'one.test', 'tom'), 'on in the host');
    sleep 0.3;
    is($redis->seen('one.test', 'ursula', 'outer'), undef, 'off in a location');
};

subtest 'two virtual hosts share a site' => sub {
    $server->fetch('HEAD', '/ping', host => 'two.test', headers => ['Cookie: hb=shared']);
    ok(arrives($redis, outer => 'one.test', 'shared'), 'one sorted set');
};

subtest 'a virtual host with a Redis of its own' => sub {
    $server->fetch('HEAD', '/ping', host => 'three.test', headers => ['Cookie: hb=third']);
    ok(arrives($other, inner => 'three.test', 'third'), 'its Redis, its prefix');
    is($redis->seen('three.test', 'third', $_), undef, "not in main's") for qw(outer inner);
    $server->fetch('HEAD', '/ping', host => 'four.test', headers => ['Cookie: hb=fourth']);
    ok(arrives($redis, outer => 'four.test', 'fourth'), 'its neighbour still uses the one of main');
};

# The one inherits the name of main as well, but has another: what it says of its own site is not for that of main.
subtest 'a virtual host with another site says nothing of that of main' => sub {
    my $fresh = redis();
    my $two = server(
        main => [ [ heartbeat_zone => '1m' ], [ heartbeat_redis => $fresh->url ], [ heartbeat_flush => '100ms' ] ],
        native_main_nginx => "    heartbeat_site usual;\n    heartbeat_ids plain;\n",
        native_main_apache => "HeartbeatSite usual\nHeartbeatIds plain\n",
        vhosts => [
            { name => 'two.test', settings => [ [ heartbeat_site => 'another' ], [ heartbeat_ids => 'hash' ] ], locations => { '/ping' => {%ping} } },
            { name => 'one.test', locations => { '/ping' => {%ping} } },
        ],
    )->start;
    $two->fetch('HEAD', '/ping', host => $_, headers => ['Cookie: hb=dora']) for qw(one.test two.test);
    ok(eventually(sub { $fresh->seen('usual', 'dora', 'hb') }, 3), 'the ids of that of main are plain');
    ok(eventually(sub { @{ $fresh->call('ZRANGE', 'hb:{another}:seen', 0, -1) } }, 3), 'the other is recorded, too');
    is($fresh->seen('another', 'dora', 'hb'), undef, 'and its ids are hashed');
};

no_bad_log_lines();
done_testing;
