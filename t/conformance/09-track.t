# Ordinary requests as signs of life, and what a request may do to a session.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Heartbeat::Test;
use Test::More;

my $redis = redis();
my @on = [ heartbeat_track => 'on' ];
my $server = server(
    main => [ [ heartbeat_zone => '1m' ], [ heartbeat_redis => $redis->url ], [ heartbeat_flush => '200ms' ] ],
    vhosts => [ {
        name => 'one.test',
        settings => [ [ heartbeat_ids => 'plain' ] ],
        locations => {
            both_endpoints(),
            '/tracked.txt' => { settings => [@on] },
            '/observed.txt' => { settings => [ @on, [ heartbeat_policy => 'observe' ] ] },
            '/never.txt' => { settings => [ @on, [ heartbeat_policy => 'never' ] ] },
            '/missing/' => { settings => [@on] },
            '/beat' => { endpoint => 'beat' },
            '/ping-observe' => { endpoint => 'ping', settings => [ [ heartbeat_policy => 'observe' ] ] },
            '/ping-never' => { endpoint => 'ping', settings => [ [ heartbeat_policy => 'never' ] ] },
            '/ping-tracked' => { endpoint => 'ping', settings => [@on] },
        },
    } ],
)->start;

sub get { my ($path, $id) = @_; return $server->fetch('GET', $path, headers => ["Cookie: hb=$id"]) }
sub session_of { my ($id) = @_; return eventually { my $s = $redis->session('one.test', $id); %$s && $s } 3 }

subtest 'a tracked request' => sub {
    my $asked = now_ms();
    my $r = get('/tracked.txt', 'alice');
    is($r->status, 200, 'is answered as ever');
    is($r->body, "ok\n", 'with its body');
    my $answered = now_ms();
    last_seen_is($redis, 'one.test', 'alice', $asked, $answered, 'last seen');
    my $s = session_of('alice');
    is($s->{source}, 'request', 'source');
    is($s->{beats}, 1, 'one sign of life');
    ok(Heartbeat::Test::seen_right($s->{last_active}, $asked, $answered), 'somebody was active');
};

# A proxy may send whatever comes over the connections that it has, and a connection remembers its last session.
subtest 'visitors who share a connection' => sub {
    my $c = $server->connect;
    my $asked = now_ms();
    for (1 .. 3) {
        for my $id (qw(first first second)) {
            $c->request('GET', '/tracked.txt', headers => ["Cookie: hb=$id"]);
            $c->request('HEAD', '/hb/ping', headers => ["Cookie: hb=$id"]);
            $c->request('POST', '/beat', body => "page=/$id", headers => ["Cookie: hb=$id"]);
        }
    }
    my $answered = now_ms();
    my %beats = (first => 18, second => 9);
    for my $id (sort keys %beats) {
        is(eventually { ($redis->beats('one.test', $id) // 0) == $beats{$id} && $beats{$id} }, $beats{$id}, "$id: all signs of life");
        is(session_of($id)->{page}, "/$id", "$id: the page");
        last_seen_is($redis, 'one.test', $id, $asked, $answered, "$id: last seen");
    }
};

subtest 'also when it fails' => sub {
    is(get('/missing/nothing.txt', 'lost')->status, 404, 'status 404');
    ok(session_of('lost'), 'seen all the same');
};

subtest 'observe' => sub {
    get('/observed.txt', 'olga');
    my $s = session_of('olga');
    ok($s, 'seen');
    is($s->{last_active}, undef, 'but not active');
    get('/ping-observe?a=1', 'oscar');
    $s = session_of('oscar');
    ok($s, 'a ping: seen');
    is($s->{last_active}, undef, 'not active even if it says so');
};

subtest 'an active session that is then only observed' => sub {
    get('/tracked.txt', 'both');
    my $active = session_of('both')->{last_active};
    sleep 0.3;
    my $asked = now_ms();
    get('/observed.txt', 'both');
    last_seen_is($redis, 'one.test', 'both', $asked, now_ms(), 'last seen moves');
    # The two clocks are compared again for every batch: a few milliseconds are not a move.
    cmp_ok(abs($redis->session('one.test', 'both')->{last_active} - $active), '<', 20, 'last_active stays');
};

subtest 'never, not tracked, no session' => sub {
    is(get('/never.txt', 'nina')->status, 200, 'never');
    is(get('/ping-never?a=1', 'nina')->status, 204, 'never, a ping');
    is(get('/plain.txt', 'nina')->status, 200, 'not tracked');
    is($server->fetch('GET', '/tracked.txt')->status, 200, 'no session');
    get('/tracked.txt', 'after');
    ok(session_of('after'), 'later requests have arrived');
    sleep 0.3;
    is($redis->seen('one.test', 'nina'), undef, 'nobody recorded');
};

subtest 'a ping where requests are tracked counts once' => sub {
    get('/ping-tracked', 'once') for 1 .. 3;
    eventually { ($redis->beats('one.test', 'once') // 0) >= 3 };
    sleep 0.4;
    is($redis->beats('one.test', 'once'), 3, 'three pings, three signs of life');
    is($redis->session('one.test', 'once')->{source}, 'ping', 'by pings');
};

subtest 'a POST with a body is tracked too' => sub {
    $server->fetch('POST', '/tracked.txt', headers => ['Cookie: hb=poster'], body => 'x' x 1000);
    ok(session_of('poster'), 'seen');
};

no_bad_log_lines();
done_testing;
