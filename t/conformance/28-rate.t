# No session may ping too often, and no flood of invented sessions pushes out those that are here.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Heartbeat::Test;
use JSON::PP;
use List::Util qw(max min);
use Test::More;

my $FORM = 'Content-Type: application/x-www-form-urlencoded';
my $redis = redis();
my @rate = ([ heartbeat_rate => '2r/s', 'burst=3' ]);
my $server = server(
    main => [ [ heartbeat_zone => '1m' ], [ heartbeat_redis => $redis->url ], [ heartbeat_flush => '100ms' ], [ heartbeat_ids => 'plain' ] ],
    vhosts => [ {
        name => 'one.test', settings => [@rate],
        locations => {
            both_endpoints(),
            '/beat' => { endpoint => 'beat' },
            '/trimmed' => { endpoint => 'ping', settings => [ [ heartbeat_trim => 'on' ] ] },
            '/free' => { endpoint => 'ping', settings => [ [ heartbeat_rate => 'off' ] ] },
            '/slow' => { endpoint => 'ping', settings => [ [ heartbeat_rate => '30r/m', 'burst=0' ] ] },
            '/steady' => { endpoint => 'ping', settings => [ [ heartbeat_rate => '10r/s' ] ] },
            '/tracked.txt' => { settings => [ [ heartbeat_track => 'on' ] ] },
        },
    } ],
)->start;

sub ask { my ($method, $path, $id, %o) = @_; return $server->fetch($method, $path, %o, headers => [ @{ $o{headers} // [] }, "Cookie: hb=$id", $FORM ]) }
sub beats_become { my ($id, $n, $name) = @_; my $got; eventually { $got = $redis->beats('one.test', $id); ($got // 0) == $n } 3; is($got, $n, $name) }

subtest 'as many as are allowed, then 429' => sub {
    for my $case ([ GET => '/hb/ping' ], [ HEAD => '/hb/ping' ], [ GET => '/hb/page' ], [ POST => '/beat', body => '' ], [ HEAD => '/trimmed' ]) {
        my ($method, $path, %o) = @$case;
        my $id = lc "$method$path";
        my $start = time;
        my @r = map { ask($method, $path, $id, %o) } 1 .. 8;
        my $allowed = grep { $_->status =~ /^20[04]$/ } @r;
        my $took = time - $start;
        ok($allowed >= 4 && $allowed <= 4 + 2 * $took, "$method $path: one, and three ahead") or diag join ' ', map { $_->status } @r;
        my ($limited) = grep { $_->status == 429 } reverse @r;
        like($limited->header('retry-after') // '', qr/^1$/, 'Retry-After');
        is($limited->header('cache-control'), 'no-store', 'not to be stored');
        like($limited->header('content-type') // '', qr{^text/plain}, 'a line of text');
        is($limited->body, $method eq 'HEAD' ? '' : "too many signs of life of one session\n", 'that says why');
        my $json = ask($method, $path, $id, %o, headers => ['Accept: application/json']);
        is($json->status, 429, 'still') if time - $start < 0.4;
        if ($json->status == 429 && $method ne 'HEAD') {
            is($json->header('content-type'), 'application/json', 'JSON where that is accepted');
            is_deeply(decode_json($json->body), { error => 'too many signs of life of one session' }, 'that says why');
        }
        beats_become($id, $allowed + ($json->status == 429 ? 0 : 1), 'those that were refused are not recorded');
    }
};

subtest 'nothing of a refused one is recorded' => sub {
    my @good = map { ask(POST => '/beat', 'kept', body => 'user=Ann&page=/here') } 1 .. 4;
    is(join(' ', map { $_->status } @good), '204 204 204 204', 'as many as are allowed');
    my $answered = now_ms();
    my ($bad) = grep { $_->status == 429 } map { ask(POST => '/beat', 'kept', body => 'user=Eve&page=/elsewhere&leave=1') } 1 .. 2;
    ok($bad, 'and one more');
    sleep 0.4;
    my $s = $redis->session('one.test', 'kept');
    is($s->{user}, 'Ann', 'not its user');
    is($s->{page}, '/here', 'not its page');
    cmp_ok($s->{last}, '<=', $answered + Heartbeat::Test::tolerance(), 'not its time');
    ok(defined $redis->call('ZSCORE', 'hb:{one.test}:online', 'kept'), 'not its goodbye');
};

subtest 'one session, wherever it asks' => sub {
    my @r = map { ask(@$_, 'joint') } [ HEAD => '/hb/ping' ], [ GET => '/hb/page' ], [ HEAD => '/hb/ping' ], [ GET => '/hb/page' ], [ HEAD => '/hb/ping' ], [ HEAD => '/hb/ping' ];
    is($r[-1]->status, 429, 'pings and pages count together');
    is(ask(HEAD => '/hb/ping', 'other')->status, 204, 'another session does not care');
    is(ask(HEAD => '/free', 'joint')->status, 204, 'nor does a location without a limit');
    my @anonymous = map { $server->fetch('HEAD', '/hb/ping')->status } 1 .. 10;
    is("@anonymous", join(' ', (204) x 10), 'nor do pings of nobody');
};

subtest 'requests that are tracked' => sub {
    my $c = $server->connect;
    my @statuses = map { $c->request('GET', '/tracked.txt', headers => ['Cookie: hb=visitor'])->status } 1 .. 40;
    is("@statuses", join(' ', (200) x 40), 'are never refused');
    beats_become('visitor', 40, 'and all are recorded');
    is(ask(HEAD => '/hb/ping', 'visitor')->status, 204, 'and count for nobody');
};

subtest 'after a rest' => sub {
    is(ask(HEAD => '/slow', 'rests')->status, 204, 'one');
    my $r = ask(HEAD => '/slow', 'rests');
    is($r->status, 429, 'no burst: the next is one too many');
    like($r->header('retry-after'), qr/^[12]$/, 'Retry-After') or return;
    sleep $r->header('retry-after');
    is(ask(HEAD => '/slow', 'rests')->status, 204, 'to come again after that long is right');
    is(ask(HEAD => '/slow', 'rests')->status, 429, 'once');
};

subtest 'twice as fast as allowed, for a while' => sub {
    my $c = $server->connect;
    my ($start, $taken, $asked) = (time, 0, 0);
    while (time - $start < 2.5) {
        $taken++ if $c->request('HEAD', '/steady', headers => ['Cookie: hb=steady'])->status == 204;
        $asked++;
        sleep 0.02;
    }
    my $allowed = 11 + (time - $start) * 10;
    ok($taken <= $allowed + 1 && $taken >= $allowed - 3, "$taken of $asked are taken") or diag "expected $allowed";
    beats_become('steady', $taken, 'and recorded');
    is($c->request('GET', '/plain.txt')->status, 200, 'on a connection that stays');
};

# --- a flood of invented ids ---

my $INVENTED = Heartbeat::Server::sanitized() ? 8000 : 20000;
my $REAL = 60;

# Pings of sessions that nobody has ever seen, as fast as they are answered, by clients of their own.
sub flood {
    my ($at) = @_;
    my $port = $at->port;
    return map {
        my $client = $_;
        Heartbeat::Process->run_code(flood => sub {
            my $c;
            for my $n (1 .. $INVENTED / 50 / 2) {
                $c //= Heartbeat::Client->new(port => $port);
                $c->send(join '', map { $c->request_bytes('HEAD', '/hb/ping', headers => ["Cookie: hb=invented-$client-$n-$_"]) } 1 .. 50);
                for (1 .. 50) {
                    my $r = $c->response('HEAD');
                    if (!$r || ($r->header('connection') // '') =~ /close/i) { $c = undef; last }
                }
            }
        });
    } 1, 2;
}

# Real sessions ping twice a second, before, while and after the others come. Answers how often each did.
sub visit {
    my ($at, $more) = @_;
    my $answered = 0;
    my $rounds = 0;
    my $c = $at->connect;
    while ($more->($rounds)) {
        for my $n (1 .. $REAL) {
            my $r = $c && $c->request('HEAD', '/hb/ping', headers => ["Cookie: hb=real-$n"]);
            if (!$r) { $c = $at->connect; $r = $c->request('HEAD', '/hb/ping', headers => ["Cookie: hb=real-$n"]) }
            $answered++ if $r->status == 204;
            $c = undef if ($r->header('connection') // '') =~ /close/i;
            $c //= $at->connect;
        }
        $rounds++;
        sleep 0.4;
    }
    is($answered, $rounds * $REAL, 'every ping of a real session is answered');
    return $rounds;
}

sub flooded {
    my ($at) = @_;
    my $rounds = visit($at, sub { $_[0] < 5 });    # they have been here for an interval
    my @flood = flood($at);
    $rounds += visit($at, sub { grep { $_->running } @flood });
    $_->stop for @flood;
    return $rounds + visit($at, sub { $_[0] < 2 });
}

my @presence = ([ heartbeat_timeout => '60s' ], [ heartbeat_interval => '1s' ]);
my %locations = (both_endpoints(), '/hb/online' => { endpoint => 'online' });

subtest 'a flood, with Redis' => sub {
    my $one = server(
        main => [ [ heartbeat_zone => '1m' ], [ heartbeat_redis => $redis->url ], [ heartbeat_flush => '100ms' ], [ heartbeat_ids => 'plain' ], @presence ],
        vhosts => [ { name => 'flood.test', locations => {%locations} } ],
    )->start;
    my $begun = now_ms();
    my $rounds = flooded($one);
    my $wrong = sub { return grep { ($redis->beats('flood.test', "real-$_") // 0) != $rounds } 1 .. $REAL };
    ok(eventually(sub { !$wrong->() }, 10), "each of the $rounds pings of every real session is counted")
        or diag join ' ', map { $redis->beats('flood.test', "real-$_") // 'none' } $wrong->();
    my @late = grep { $redis->session('flood.test', "real-$_")->{first} > $begun + 3000 } 1 .. $REAL;
    is(scalar @late, 0, 'and they are the sessions that they were');
    my @online = grep { my ($e) = @$_; my %e = @{ $e->[1] }; $e{event} eq 'online' && $e{id} =~ /^real-/ }
        map { [$_] } @{ $redis->call('XRANGE', 'hb:{flood.test}:events', '-', '+') };
    is(scalar @online, $REAL, 'online once');
    my @short = grep { my $s = $redis->session('flood.test', "real-$_"); $s->{open_ms} < $s->{last} - $s->{first} } 1 .. $REAL;
    is(scalar @short, 0, 'no time is lost');
    cmp_ok($redis->call('ZCARD', 'hb:{flood.test}:seen'), '>', $REAL + $INVENTED / 2, 'while the invented ones came');
    $one->stop;
};

subtest 'a flood, in memory only' => sub {
    my $one = server(
        main => [ [ heartbeat_zone => '1m' ], [ heartbeat_flush => '100ms' ], [ heartbeat_ids => 'plain' ], @presence ],
        vhosts => [ { name => 'flood.test', locations => {%locations} } ],
    )->start;
    my $begun = now_ms();
    flooded($one);
    my $list = eventually {
        my $r = $one->fetch('GET', '/hb/online?limit=500');
        my $list = $r && $r->status == 200 && decode_json($r->body);
        $list && (grep { $_->{id} =~ /^real-/ } @{ $list->{online} }) == $REAL && $list;
    } 3;
    my @real = grep { $_->{id} =~ /^real-/ } @{ $list ? $list->{online} : [] };
    is(scalar @real, $REAL, 'every real session is online') or return;
    is(scalar(grep { $_->{since} > $begun + 3000 } @real), 0, 'and came when it came');
    cmp_ok($list->{count}, '>', 1000, 'among those who were invented');
    $one->stop;
};

no_bad_log_lines();
done_testing;
