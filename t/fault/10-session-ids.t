# Session ids of every kind: nothing breaks, one id is one session, and no id reaches another key.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Heartbeat::Test;
use Test::More;

my $redis = redis();
my $server = server(
    main => [ [ heartbeat_zone => '2m' ], [ heartbeat_redis => $redis->url ], [ heartbeat_flush => '200ms' ] ],
    vhosts => [ {
        name => 'one.test', settings => [ [ heartbeat_ids => 'plain' ] ],
        locations => {
            both_endpoints(),
            '/hashed' => { endpoint => 'ping', settings => [ [ heartbeat_site => 'hashed' ] ] },
            '/arg' => { endpoint => 'ping', settings => [ [ heartbeat_session => 'arg:sid' ] ] },
        },
    } ],
)->start;

# id => is it taken as it is?
my %ids = (
    'quotes' => q{"it's"}, 'braces' => '{one.test}', 'brackets' => '[1]{2}(3)', 'a colon' => 'a:b:seen', 'percent' => '%41%00%0d%0a',
    'backslash' => 'a\\b\\x00', 'a star' => '*', 'a dollar' => '$5', 'UTF-8' => "\xc3\xa9\xe2\x82\xac\xf0\x9f\x92\x93",
    'invalid UTF-8' => "\xff\xfe\xc3\x28", 'a blank inside' => 'a b', 'markup' => '<b>&lt</b>', 'a comma' => 'a,b', 'one byte' => 'x',
    'lua' => "]] redis.call('flushall') --[[", 'redis protocol' => '*1$8FLUSHALL', 'a format' => '%s%n%d', 'traversal' => '../../etc/passwd',
);

for my $name (sort keys %ids) {
    my $id = $ids{$name};
    my $r = $server->ping($id);
    is($r && $r->status, 204, "$name: 204");
    ok(eventually(sub { defined $redis->seen('one.test', $id) }, 3), "$name: recorded as it is") or diag $id;
}

subtest 'NUL and control characters' => sub {
    for my $byte ("\0", "\x01", "\x7f", "\t", "\r", "\n", "\x0b") {
        my $r = $server->ping("evil${byte}id");
        # A server may refuse such a header by itself; it must not crash, wait, or answer twice.
        like($r ? $r->status : 'closed', qr/^(?:204|400|closed)$/, sprintf 'byte %02x: answered or refused', ord $byte);
    }
    for my $escape ('%00', '%0d%0a', '%ff', '%', '%zz', '{%22}') {
        my $r = $server->fetch('GET', "/arg?sid=a${escape}b");
        like($r ? $r->status : 'closed', qr/^(?:204|400)$/, "argument with $escape");
    }
    is($server->ping('fine')->status, 204, 'and goes on');
};

subtest 'lengths' => sub {
    for my $length (1, 48, 49, 50, 127, 128, 1000, 4095, 4096, 4097, 6000) {
        my $r = $server->ping('L' x $length, target => '/hashed');
        is($r && $r->status, 204, "$length bytes: 204");
    }
    my $n;
    eventually { ($n = keys %{ $redis->all_seen('hashed') }) >= 9 } 4;
    is($n, 9, 'all but the longer than 4096 are sessions');
    my $r = $server->ping('L' x 20_000);
    like($r ? $r->status : 'closed', qr/^(?:204|400|414|431|494|closed)$/, '20000 bytes: the server refuses by itself');
};

subtest 'ids that only begin alike stay apart' => sub {
    my $long = 'p' x 200;
    $server->ping($long . $_, target => '/hb/ping') for 'a', 'b', '';
    my @hashes;
    eventually { @hashes = grep { /^[0-9a-f]{32}$/ } keys %{ $redis->all_seen('one.test') }; @hashes >= 3 } 4;
    cmp_ok(scalar @hashes, '>=', 3, 'three sessions');
};

subtest 'no stray key' => sub {
    my @stray = grep { !/^hb:(?:\{(?:one\.test|hashed)\}:(?:seen|session:.*)|node:.*|idkey)$/s } @{ $redis->call('KEYS', '*') };
    is("@stray", '', 'only keys of the contract');
};

no_bad_log_lines();
done_testing;
