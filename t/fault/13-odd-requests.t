# Pipelined pings, pings with bodies, HTTP/1.0, Expect, unknown methods: every request gets its own answer and nothing more.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Heartbeat::Test;
use Test::More;

my $redis = redis();
my $server = server(
    main => [ [ heartbeat_zone => '1m' ], [ heartbeat_redis => $redis->url ], [ heartbeat_flush => '200ms' ] ],
    vhosts => [ {
        name => 'one.test', settings => [ [ heartbeat_ids => 'plain' ] ],
        locations => { both_endpoints(), '/trimmed' => { endpoint => 'ping', settings => [ [ heartbeat_trim => 'on' ] ] } },
    } ],
)->start;

sub beats_are { my ($id, $n, $name) = @_; my $got; eventually { ($got = $redis->beats('one.test', $id) // 0) == $n } 4; is($got, $n, $name) }

for my $path ('/hb/ping', '/trimmed') {
    my $tag = $path =~ s{.*/}{}r;
    subtest "$path: pipelined" => sub {
        my $c = $server->connect;
        $c->send(join '', map { $c->request_bytes($_ % 2 ? 'HEAD' : 'GET', $path, headers => ["Cookie: hb=pipe-$tag"]) } 1 .. 200);
        my $good = grep { my $r = $c->response($_ % 2 ? 'HEAD' : 'GET'); $r && $r->status == 204 } 1 .. 200;
        is($good, 200, 'two hundred answers');
        is($c->rest(0.1), '', 'and no more');
        beats_are("pipe-$tag", 200, 'all counted');
    };

    subtest "$path: with a body" => sub {
        my $ids = 0;
        my %bodies = (
            'a short one' => [ 'Content-Length: 5', 'hello' ],
            'an empty one' => [ 'Content-Length: 0', '' ],
            'a long one' => [ 'Content-Length: 100000', 'x' x 100_000 ],
            'a chunked one' => [ 'Transfer-Encoding: chunked', "5\r\nhello\r\n3;ext=1\r\nabc\r\n0\r\n\r\n" ],
            'a long chunked one' => [ 'Transfer-Encoding: chunked', ("2000\r\n" . 'y' x 0x2000 . "\r\n") x 10 . "0\r\n\r\n" ],
            'one that looks like a request' => [ 'Content-Length: 44', "HEAD /hb/ping HTTP/1.1\r\nCookie: hb=smuggled\r\n" ],
        );
        for my $name (sort keys %bodies) {
            my ($header, $body) = @{ $bodies{$name} };
            $header = 'Content-Length: ' . length $body if $header =~ /^Content-Length: 44/;
            for my $method (qw(HEAD GET)) {
                my $id = "body-$tag-" . ++$ids;
                my $c = $server->connect;
                my $one = $c->request_bytes($method, $path, headers => [ "Cookie: hb=$id", $header ]) . $body;
                $c->send($one . $c->request_bytes('GET', '/plain.txt'));
                my $r = $c->response($method);
                is($r && $r->status, 204, "$method with $name: 204");
                my $next = $c->response('GET');
                # The server may close instead of reading a body that nobody wants, if it says so.
                my $closes = $r && ($r->header('connection') // '') =~ /close/i;
                ok($closes || ($next && $next->body eq "ok\n"), "$method with $name: then the next request, or an announced close")
                    or diag $next ? $next->raw : 'no answer';
                beats_are($id, 1, "$method with $name: counted once") if $method eq 'HEAD';
            }
        }
        is($redis->seen('one.test', 'smuggled'), undef, 'no body is taken for a request');
    };

    subtest "$path: Expect: 100-continue" => sub {
        my $c = $server->connect;
        $c->send($c->request_bytes('GET', $path, headers => [ 'Cookie: hb=expect', 'Content-Length: 5', 'Expect: 100-continue' ]));
        my $r = $c->response('GET');
        if ($r && $r->status == 100) { $c->send('hello'); $r = $c->response('GET') }
        is($r && $r->status, 204, 'is answered');
        is($server->ping('alive')->status, 204, 'and the server goes on');
        $r = $server->fetch('GET', $path, headers => ['Expect: something-else']);
        like($r && $r->status, qr/^(?:204|417)$/, 'an unknown expectation');
    };

    subtest "$path: HTTP/1.0 and 0.9" => sub {
        my $c = $server->connect;
        my $r = $c->request('HEAD', $path, version => '1.0', headers => ['Cookie: hb=old']);
        is($r && $r->status, 204, 'status 204');
        ok(defined $c->until_closed(3), 'closed');
        $c = $server->connect;
        $r = $c->request('GET', $path, version => '1.0', headers => [ 'Connection: keep-alive', 'Cookie: hb=old' ]);
        is($r && $r->status, 204, 'kept alive: 204');
        $r = $c->request('GET', $path, version => '1.0', headers => ['Cookie: hb=old']);
        is($r && $r->status, 204, 'and again');
        $c = $server->connect(timeout => 3);
        $c->send("GET $path\r\n\r\n");
        ok(defined $c->until_closed(5), 'a request without a version ends');
    };
}

subtest 'unknown methods' => sub {
    for my $method (qw(FOO PING X BREW PROPFIND MKCOL), 'M' x 31) {
        my $c = $server->connect;
        my $r = $c->request($method, '/hb/ping', headers => ['Cookie: hb=unknown']);
        is($r && $r->status, 405, "$method: 405");
        is($r && $r->header('allow'), 'HEAD, GET', "$method: Allow");
    }
    for my $method (qw(TRACE CONNECT), 'get', 'G@T') {
        my $r = $server->fetch($method, '/hb/ping', headers => ['Cookie: hb=unknown']);
        # Some of these end in the server itself, before any module.
        like($r ? $r->status : 'closed', qr/^(?:closed|200|204|400|405|501)$/, "$method: " . ($r ? $r->status : 'closed'));
    }
    sleep 0.5;
    my $s = $redis->session('one.test', 'unknown');
    cmp_ok($s->{beats} // 0, '<=', 1, 'nobody recorded');
};

subtest 'a POST with a large body that nobody wants' => sub {
    my $c = $server->connect;
    $c->send($c->request_bytes('POST', '/hb/ping', body => 'z' x 500_000));
    my $r = $c->response('POST');
    is($r && $r->status, 405, 'status 405');
    is($server->ping('alive')->status, 204, 'goes on');
};

no_bad_log_lines();
done_testing;
