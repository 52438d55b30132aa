# Where the session id comes from, and which bytes it may hold.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Heartbeat::Test;
use Test::More;

my $redis = redis();
my $own = server()->own_expression('X-Own');
my $server = server(
    main => [ [ heartbeat_zone => '2m' ], [ heartbeat_redis => $redis->url ], [ heartbeat_flush => '200ms' ] ],
    vhosts => [ {
        name => 'one.test',
        settings => [ [ heartbeat_ids => 'plain' ] ],
        locations => {
            '/default' => { endpoint => 'ping', settings => [ [ heartbeat_site => 'default' ] ] },
            '/cookie' => { endpoint => 'ping', settings => [ [ heartbeat_site => 'cookie' ], [ heartbeat_session => 'cookie:SID' ] ] },
            '/header' => { endpoint => 'ping', settings => [ [ heartbeat_site => 'header' ], [ heartbeat_session => 'header:X-Session' ] ] },
            '/arg' => { endpoint => 'ping', settings => [ [ heartbeat_site => 'arg' ], [ heartbeat_session => 'arg:sid' ] ] },
            '/own' => { endpoint => 'ping', settings => [ [ heartbeat_site => 'own' ], [ heartbeat_session => $own ] ] },
            '/order' => { endpoint => 'ping',
                settings => [ [ heartbeat_site => 'order' ], [ heartbeat_session => 'arg:sid', 'header:X-Session', $own, 'cookie:SID' ] ] },
        },
    } ],
)->start;

my $turn = 0;

# The ids that appear at a site after these requests: [target, headers...].
sub ids_of {
    my ($site, @requests) = @_;
    $redis->call('DEL', "hb:{$site}:seen");
    my $mark = 'mark' . ++$turn;
    for my $request (@requests, [ '/default', "Cookie: hb=$mark" ]) {
        my ($target, @headers) = @$request;
        my $r = $server->fetch('GET', $target, headers => \@headers);
        is($r && $r->status, 204, "204: $target") or return 'no answer';
    }
    # A later request of the same host has arrived in Redis: so have these, or a moment later.
    eventually { $redis->seen('default', $mark) };
    sleep 0.3;
    return join ' ', sort keys %{ $redis->all_seen($site) };
}

subtest 'the default is the cookie hb' => sub {
    is(ids_of(default => [ '/default', 'Cookie: hb=d1' ]) =~ s/ ?mark\d+//r, 'd1', 'found');
};

subtest 'cookie' => sub {
    is(ids_of(cookie => [ '/cookie', 'Cookie: SID=c1' ]), 'c1', 'alone');
    is(ids_of(cookie => [ '/cookie', 'Cookie: a=1; SID=c2; z=2' ]), 'c2', 'among others');
    is(ids_of(cookie => [ '/cookie', 'Cookie: a=1;SID=c3;z=2' ]), 'c3', 'without blanks');
    is(ids_of(cookie => [ '/cookie', 'Cookie: XSID=no; SIDX=no; sid=no' ]), '', 'another name that looks alike');
    is(ids_of(cookie => [ '/cookie', 'Cookie: a=SID=no' ]), '', 'the name inside a value');
    is(ids_of(cookie => [ '/cookie', 'Cookie: SID=first; SID=second' ]), 'first', 'two of one name: the first');
    is(ids_of(cookie => [ '/cookie', 'Cookie: SID=; SID=second' ]), 'second', 'the first that is not empty');
    is(ids_of(cookie => [ '/cookie', 'Cookie: a=1', 'Cookie: SID=c4' ]), 'c4', 'in a second Cookie line');
    is(ids_of(cookie => [ '/cookie', 'Cookie: SID=a=b=c' ]), 'a=b=c', 'with equals signs');
    is(ids_of(cookie => [ '/cookie', 'Cookie: SID=' ], ['/cookie']), '', 'empty, or none');
};

subtest 'header' => sub {
    is(ids_of(header => [ '/header', 'X-Session: h1' ]), 'h1', 'found');
    is(ids_of(header => [ '/header', 'x-SESSION: h2' ]), 'h2', 'in any case');
    is(ids_of(header => [ '/header', 'Cookie: hb=no' ]), '', 'not the cookie');
    is(ids_of(header => [ '/header', 'X-Session:' ]), '', 'empty');
};

subtest 'argument' => sub {
    is(ids_of(arg => ['/arg?sid=a1']), 'a1', 'alone');
    is(ids_of(arg => ['/arg?x=1&sid=a2&y=2']), 'a2', 'among others');
    is(ids_of(arg => [ '/arg?xsid=no&sidx=no' ], ['/arg?sid='], ['/arg?sid'], ['/arg']), '', 'not there, or empty');
};

subtest 'the expression of the server' => sub {
    is(ids_of(own => [ '/own', 'X-Own: o1' ]), 'o1', 'found');
    is(ids_of(own => ['/own']), '', 'empty: no session');
};

subtest 'the first hit wins' => sub {
    is(ids_of(order => [ '/order?sid=arg', 'X-Session: header', 'Cookie: SID=cookie' ]), 'arg', 'the argument');
    is(ids_of(order => [ '/order?sid=', 'X-Session: header', 'Cookie: SID=cookie' ]), 'header', 'else the header');
    is(ids_of(order => [ '/order', 'X-Own: own', 'Cookie: SID=cookie' ]), 'own', 'else the expression');
    is(ids_of(order => [ '/order', 'Cookie: SID=cookie' ]), 'cookie', 'else the cookie');
};

subtest 'lengths' => sub {
    is(ids_of(header => [ '/header', 'X-Session: ' . 'x' x 49 ]), 'x' x 49, '49 bytes: as they are');
    like(ids_of(header => [ '/header', 'X-Session: ' . 'x' x 50 ]), qr/^[0-9a-f]{32}$/, '50 bytes: as their hash');
    like(ids_of(header => [ '/header', 'X-Session: ' . 'x' x 4096 ]), qr/^[0-9a-f]{32}$/, '4096 bytes: as their hash');
    is(ids_of(header => [ '/header', 'X-Session: ' . 'x' x 4097 ]), '', '4097 bytes: no session');
};

no_bad_log_lines();
done_testing;
