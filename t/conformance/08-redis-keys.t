# What lies in Redis, under which names and for how long; and how Redis is reached.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Heartbeat::Test;
use Test::More;

my $redis = redis();

sub started {
    my (%o) = @_;
    return server(
        kind => $o{kind} // Heartbeat::Server::kind(),
        main => [ [ heartbeat_zone => '1m' ], [ heartbeat_flush => '200ms' ], @{ $o{main} // [ [ heartbeat_redis => $redis->url ] ] } ],
        vhosts => [ { name => $o{name} // 'one.test', settings => $o{settings} // [], locations => { both_endpoints() } } ],
    )->start;
}

subtest 'plain ids' => sub {
    my $server = started(settings => [ [ heartbeat_ids => 'plain' ], [ heartbeat_retention => '1h' ] ]);
    my $asked = now_ms();
    $server->ping('alice');
    my $answered = now_ms();
    last_seen_is($redis, 'one.test', 'alice', $asked, $answered, 'the site is the name of the virtual host');
    my $s = $redis->session('one.test', 'alice');
    ok(Heartbeat::Test::seen_right($s->{$_}, $asked, $answered), "$_ is right") for qw(first last);
    is($s->{last}, $redis->seen('one.test', 'alice'), 'hash and sorted set agree');
    is($s->{beats}, 1, 'beats');
    is($s->{source}, 'ping', 'source');
    my $ttl = $redis->call('TTL', 'hb:{one.test}:session:alice');
    cmp_ok($ttl, '>=', 3600 - 30, 'kept for the retention');
    cmp_ok($ttl, '<=', 3600 * 1.25, 'and not much longer');
    my ($node) = @{ $redis->call('KEYS', 'hb:node:*') };
    ok($node, 'the host has a key') or return;
    my %node = @{ $redis->call('HGETALL', $node) };
    cmp_ok($node{batch}, '>=', 1, 'with the number of its last batch');
    ok(exists $node{flush} && exists $node{version}, 'with its last flush and its version');

    sleep 0.5;
    my ($first, $again) = ($s->{first}, now_ms());
    $server->fetch('GET', '/hb/page', headers => ['Cookie: hb=alice']);
    last_seen_is($redis, 'one.test', 'alice', $again, now_ms(), 'last seen moves');
    $s = $redis->session('one.test', 'alice');
    is($s->{first}, $first, 'first does not');
    is($s->{beats}, 2, 'beats count');
    is($s->{source}, 'page', 'the last source');
    $server->stop;
};

subtest 'hashed ids' => sub {
    $redis->call('FLUSHALL');
    my $server = started();
    $server->ping("visitor$_") for 1 .. 3;
    ok(eventually { keys %{ $redis->all_seen('one.test') } == 3 }, 'three sessions');
    my @ids = keys %{ $redis->all_seen('one.test') };
    is(scalar(grep { /^[0-9a-f]{32}$/ } @ids), 3, 'as 32 hexadecimal digits');
    ok($redis->call('EXISTS', 'hb:idkey'), 'the key of the hash is shared through Redis');
    my $all = join ' ', @{ $redis->call('KEYS', '*') };
    unlike($all, qr/visitor/, 'no key shows an id');
    $server->stop;
};

subtest 'both servers give one session one name' => sub {
    my @kinds = ('nginx', Heartbeat::Server::kind() eq 'nginx' ? 'apache-event' : Heartbeat::Server::kind());
    plan skip_all => 'the module for the other server is not built' if grep { !-e server(kind => $_)->module_path } @kinds;
    my @servers = map { started(kind => $_) } @kinds;
    for my $id ('same', 'x' x 300) {
        $redis->call('DEL', 'hb:{one.test}:seen');
        $_->ping($id) for @servers;
        sleep 1.5;
        is(scalar keys %{ $redis->all_seen('one.test') }, 1, 'one member') or diag explain $redis->all_seen('one.test');
    }
    my ($id) = keys %{ $redis->all_seen('one.test') };
    is($redis->beats('one.test', $id), 2, 'with the signs of life of both');
    cmp_ok(scalar @{ $redis->call('KEYS', 'hb:node:*') }, '>=', 2, 'each host has its own key');
    $_->stop for @servers;
};

subtest 'another prefix, another site' => sub {
    my $server = started(settings => [ [ heartbeat_ids => 'plain' ], [ heartbeat_prefix => 'presence' ], [ heartbeat_site => 'shop' ] ]);
    my $asked = now_ms();
    $server->ping('alice');
    ok(eventually { $redis->seen('shop', 'alice', 'presence') }, 'found under prefix and site');
    is($redis->session('shop', 'alice', 'presence')->{beats}, 1, 'the hash too');
    is($redis->seen('one.test', 'alice'), undef, 'and nowhere else');
    $server->stop;
};

subtest 'the ways to Redis' => sub {
    my $guarded = redis(password => 'open sesame' =~ tr/ //dr, acl => { heart => 'on >b3at ~* +@all' });
    my $file = workplace() . '/password';
    Heartbeat::Server::write_file($file, "opensesame\n");
    my %ways = (
        'a database' => [ 3, [ heartbeat_redis => 'redis://:opensesame@127.0.0.1:' . $guarded->port . '/3' ] ],
        'a user' => [ 0, [ heartbeat_redis => 'redis://heart:b3at@127.0.0.1:' . $guarded->port ] ],
        'a password file' => [ 0, [ heartbeat_redis => $guarded->url ], [ heartbeat_redis_password_file => $file ] ],
        'a socket' => [ 2, [ heartbeat_redis => $guarded->unix_url('?db=2') ], [ heartbeat_redis_password_file => $file ] ],
    );
    for my $way (sort keys %ways) {
        my ($database, @main) = @{ $ways{$way} };
        $guarded->call('FLUSHALL');
        my $server = started(main => \@main, settings => [ [ heartbeat_ids => 'plain' ] ]);
        $server->ping('alice');
        $guarded->call('SELECT', $database);
        ok(eventually { $guarded->seen('one.test', 'alice') }, $way);
        unlike($server->error_log, qr/opensesame|b3at/, "$way: no password in the log");
        $server->stop;
        $guarded->call('SELECT', 0);
    }
    my $server = started(main => [ [ heartbeat_redis => 'redis://:wr0ngword@127.0.0.1:' . $guarded->port ] ]);
    is($server->ping('alice')->status, 204, 'a wrong password: pings go on');
    ok(eventually { $server->error_log =~ /127\.0\.0\.1:@{[ $guarded->port ]}/ }, 'the log names the Redis');
    unlike($server->error_log, qr/wr0ngword/, 'and hides the password');
    $server->stop;
};

subtest 'without Redis' => sub {
    my $server = started(main => []);
    is($server->ping('alice')->status, 204, 'pings are answered') for 1 .. 3;
    is($server->fetch('GET', '/hb/page')->status, 200, 'pages too');
    ok($server->stop, 'and it stops');
};

subtest 'pings coalesce' => sub {
    my $server = started(settings => [ [ heartbeat_ids => 'plain' ], [ heartbeat_site => 'calm' ] ]);
    $server->ping('warm');
    ok(eventually { $redis->seen('calm', 'warm') }, 'connected');
    my $before = $redis->command_count('EVALSHA') + $redis->command_count('EVAL');
    my $c = $server->connect;
    $c->send($c->request_bytes('HEAD', '/hb/ping', headers => ['Cookie: hb=busy']) x 50), map { $c->response('HEAD') } 1 .. 50 for 1 .. 10;
    ok(eventually { ($redis->beats('calm', 'busy') // 0) == 500 }, 'five hundred pings of one session') or diag $redis->beats('calm', 'busy');
    my $calls = $redis->command_count('EVALSHA') + $redis->command_count('EVAL') - $before;
    cmp_ok($calls, '<', 50, "took few scripts ($calls)");
    $server->stop;
};

no_bad_log_lines();
done_testing;
