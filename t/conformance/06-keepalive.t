# How long a connection that pings stays open, watched at the socket.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Heartbeat::Test;
use Test::More;

my $server = server(
    main => [ [ heartbeat_zone => '1m' ] ],
    vhosts => [
        {   name => 'short.test', native_nginx => 'keepalive_timeout 1s;', native_apache => "KeepAliveTimeout 1\n",
            locations => { both_endpoints() } },
        {   name => 'long.test', settings => [ [ heartbeat_keepalive_timeout => '3s' ] ],
            native_nginx => 'keepalive_timeout 1s;', native_apache => "KeepAliveTimeout 1\n", locations => { both_endpoints() } },
        {   name => 'middle.test', settings => [ [ heartbeat_keepalive_timeout => '2s' ] ],
            native_nginx => 'keepalive_timeout 60s;', native_apache => "KeepAliveTimeout 60\n", locations => { both_endpoints() } },
        {   name => 'budget.test', settings => [ [ heartbeat_keepalive_pings => 3 ] ],
            locations => { both_endpoints(), '/trimmed' => { endpoint => 'ping', settings => [ [ heartbeat_trim => 'on' ] ] } } },
        {   name => 'few.test', native_nginx => 'keepalive_requests 2;', native_apache => "MaxKeepAliveRequests 2\n",
            locations => { both_endpoints() } },
        {   name => 'budgetfew.test', settings => [ [ heartbeat_keepalive_pings => 6 ] ],
            native_nginx => 'keepalive_requests 2;', native_apache => "MaxKeepAliveRequests 2\n", locations => { both_endpoints() } },
        {   name => 'time.test', settings => [ [ heartbeat_keepalive_timeout => '5s' ] ], native_nginx => 'keepalive_time 1s;',
            locations => { both_endpoints() } },
    ],
)->start;

sub closes { my ($r) = @_; return ($r->header('connection') // '') =~ /\bclose\b/i ? 1 : 0 }

# Several connections wait side by side; each is looked at when its time has come.
subtest 'each virtual host its own time' => sub {
    my %expected = ('short.test' => 1, 'middle.test' => 2, 'long.test' => 3);
    my (%connection, %at, %closed);
    for my $host (keys %expected) {
        $connection{$host} = $server->connect(host => $host);
        my $r = $connection{$host}->request('HEAD', '/hb/ping', headers => ['Cookie: hb=x']);
        $at{$host} = time;
        is($r->status, 204, "$host: pinged");
        is(closes($r), 0, "$host: to be kept");
    }
    my $start = time;
    while (time < $start + 6 && keys %closed < keys %connection) {
        for my $host (grep { !$closed{$_} } keys %connection) {
            $closed{$host} = time - $at{$host} if defined $connection{$host}->until_closed(0.03);
        }
    }
    for my $host (sort keys %expected) {
        my ($took, $want) = ($closed{$host} // 99, $expected{$host});
        cmp_ok($took, '>', $want - 0.15, "$host: stays $want s");
        cmp_ok($took, '<', $want + 1.2, "$host: closes within a second after");
    }
};

subtest 'every ping starts the time again' => sub {
    my $c = $server->connect(host => 'middle.test');
    for my $n (1 .. 3) {
        my $r = $c->request('HEAD', '/hb/ping');
        is($r && $r->status, 204, "ping $n") or return;
        sleep 1.4 if $n < 3;
    }
    my $took = $c->until_closed(5);
    ok(defined $took && $took > 1.8 && $took < 3.3, 'closes its time after the last one') or diag $took // 'not closed';
};

# A marked corner: Apache has one time per virtual host, nginx one per location.
subtest 'ordinary requests keep the ordinary time' => sub {
    plan skip_all => 'Apache has one time per virtual host' if $server->is_apache;
    my $c = $server->connect(host => 'long.test');
    is($c->request('HEAD', '/hb/ping')->status, 204, 'a ping');
    is($c->request('GET', '/plain.txt')->status, 200, 'then an ordinary request');
    my $took = $c->until_closed(5);
    ok(defined $took && $took < 2.5, 'closes by the ordinary time') or diag $took // 'not closed';
};

subtest 'a budget of pings' => sub {
    my $c = $server->connect(host => 'budget.test');
    is(closes($c->request('HEAD', '/hb/ping')), 0, "ping $_: kept") for 1, 2;
    my $r = $c->request('HEAD', '/hb/ping');
    is($r->status, 204, 'ping 3: answered');
    is(closes($r), 1, 'and told to close');
    my $took = $c->until_closed(3);
    ok(defined $took && $took < 1, 'closes') or diag $took // 'not closed';
};

subtest 'any other request starts the count again' => sub {
    for my $other ('/plain.txt', '/hb/page') {
        my $c = $server->connect(host => 'budget.test');
        is(closes($c->request('HEAD', '/hb/ping')), 0, "ping $_: kept") for 1, 2;
        my $r = $c->request('GET', $other);
        is(closes($r), 0, "$other: kept");
        is(closes($c->request('HEAD', '/hb/ping')), 0, "ping $_ after it: kept") for 1, 2;
        is(closes($c->request('HEAD', '/hb/ping')), 1, 'the third in a row: closes');
    }
};

subtest 'the budget and the trimmed answer' => sub {
    my $c = $server->connect(host => 'budget.test');
    is($c->request('HEAD', '/trimmed')->raw, "HTTP/1.1 204 No Content\r\n\r\n", "ping $_") for 1, 2;
    is($c->request('HEAD', '/trimmed')->raw, "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n", 'the last one says so');
    ok(defined $c->until_closed(2), 'closes');
};

subtest 'pipelined pings count one by one' => sub {
    my $c = $server->connect(host => 'budget.test');
    $c->send($c->request_bytes('HEAD', '/hb/ping') x 5);
    my @answers = grep {defined} map { $c->response('HEAD') } 1 .. 4;
    is(scalar @answers, 3, 'three answers');
    is(join(',', map { closes($_) } @answers), '0,0,1', 'the third closes');
};

subtest 'pings do not use up the requests of a connection' => sub {
    my $c = $server->connect(host => 'few.test');
    for my $n (1 .. 10) {
        my $r = $c->request('HEAD', '/hb/ping');
        is($r && !closes($r) && $r->status, 204, "ping $n: kept") or return;
    }
    my $r = $c->request('GET', '/plain.txt');
    is($r && $r->status, 200, 'an ordinary request');
    is($r && closes($r), 0, 'kept as if it were the first');
    my @after;
    for (1 .. 3) { my $next = $c->request('GET', '/plain.txt') or last; push @after, closes($next); last if $after[-1] }
    is($after[-1], 1, 'ordinary ones are still limited');
};

subtest 'nothing cuts a connection inside its budget' => sub {
    my $c = $server->connect(host => 'budgetfew.test');
    my @closes;
    for (1 .. 6) { my $r = $c->request('HEAD', '/hb/ping') or last; push @closes, closes($r); last if $closes[-1] }
    is(join(',', @closes), '0,0,0,0,0,1', 'six pings, the last one says that it closes');
};

# A marked corner: keepalive_time is nginx's own.
subtest 'the age of a connection' => sub {
    plan skip_all => 'Apache has no such limit' if $server->is_apache;
    my $c = $server->connect(host => 'time.test');
    for my $n (1 .. 4) {
        my $r = $c->request('HEAD', '/hb/ping');
        is($r && !closes($r) && $r->status, 204, "ping $n: kept") or return;
        sleep 0.6;
    }
};

no_bad_log_lines();
done_testing;
