# The same answers over TLS and over HTTP/2.
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
        name => 'one.test', tls => 1,
        settings => [ [ heartbeat_ids => 'plain' ] ],
        locations => {
            both_endpoints(),
            '/trimmed' => { endpoint => 'ping', settings => [ [ heartbeat_trim => 'on' ] ] },
            '/budget' => { endpoint => 'ping', settings => [ [ heartbeat_keepalive_pings => 2 ] ] },
            '/cors' => { endpoint => 'ping', settings => [ [ heartbeat_origin => 'https://a.example' ] ] },
            '/tracked.txt' => { settings => [ [ heartbeat_track => 'on' ] ] },
        },
    } ],
)->start;

subtest 'HTTP/1.1 over TLS' => sub {
    my $c = $server->connect(tls => 1);
    ok($c, 'connected') or return;
    my $asked = now_ms();
    my $r = $c->request('HEAD', '/hb/ping', headers => ['Cookie: hb=tls']);
    is($r->status, 204, 'status 204');
    is($r->header('cache-control'), 'no-store', 'not stored');
    my $answered = now_ms();
    is($c->request('HEAD', '/trimmed')->raw, "HTTP/1.1 204 No Content\r\n\r\n", 'trimmed') for 1 .. 3;
    is($c->request('GET', '/hb/page')->status, 200, 'the page');
    last_seen_is($redis, 'one.test', 'tls', $asked, $answered, 'recorded');
};

# curl over HTTP/2: version, status, headers, body.
sub curl {
    my ($path, @options) = @_;
    my $quoted = join ' ', map {"'$_'"} @options;
    my $port = $server->tls_port;
    my $text = `curl -sk --http2 --max-time 10 -D - --resolve one.test:$port:127.0.0.1 $quoted 'https://one.test:$port$path' 2>&1`;
    my ($head, $body) = split /\r?\n\r?\n/, $text, 2;
    my ($version, $status) = ($head // '') =~ m{^HTTP/(\S+) (\d+)};
    my %headers = map { /^([^:]+):\s*(.*?)\r?$/ ? (lc $1 => $2) : () } split /\n/, $head // '';
    return { version => $version // '', status => $status // '', headers => \%headers, body => $body // '' };
}

subtest 'HTTP/2' => sub {
    plan skip_all => 'the prefork MPM does not serve HTTP/2' if $server->is_prefork;
    my $asked = now_ms();
    my $r = curl('/hb/ping', '-I', '-H', 'Cookie: hb=h2');
    is($r->{version}, '2', 'is spoken');
    is($r->{status}, 204, 'HEAD: 204');
    is($r->{headers}{'cache-control'}, 'no-store', 'not stored');
    last_seen_is($redis, 'one.test', 'h2', $asked, now_ms(), 'recorded');

    $r = curl('/hb/ping', '-H', 'Cookie: a=1', '-H', 'Cookie: hb=h2get');
    is($r->{status}, 204, 'GET: 204');
    is($r->{body}, '', 'no body');
    $r = curl('/trimmed', '-I');
    is($r->{status}, 204, 'trim is for HTTP/1.1');
    is($r->{headers}{'cache-control'}, 'no-store', 'the normal answer here');
    $r = curl('/hb/page');
    is($r->{status}, 200, 'page: 200');
    like($r->{body}, qr/postMessage/, 'the page');
    like($r->{headers}{'content-security-policy'}, qr/frame-ancestors/, 'its headers');
    $r = curl('/hb/ping', '-X', 'POST', '-d', 'x=1');
    is($r->{status}, 405, 'POST: 405');
    is($r->{headers}{allow}, 'HEAD, GET', 'Allow');
    $r = curl('/cors', '-X', 'OPTIONS', '-H', 'Origin: https://a.example', '-H', 'Access-Control-Request-Method: HEAD');
    is($r->{status}, 204, 'preflight: 204');
    is($r->{headers}{'access-control-allow-origin'}, 'https://a.example', 'origin');
    curl('/tracked.txt', '-H', 'Cookie: hb=h2tracked');
    ok(eventually { $redis->seen('one.test', 'h2tracked') }, 'an ordinary request is tracked');
};

subtest 'many pings on one HTTP/2 connection' => sub {
    plan skip_all => 'the prefork MPM does not serve HTTP/2' if $server->is_prefork;
    my $port = $server->tls_port;
    for my $path ('/hb/ping', '/budget', '/trimmed') {
        my $urls = join ' ', ("'https://one.test:$port$path'") x 30;
        my $out = `curl -sk --http2 --max-time 20 -o /dev/null -w '%{http_code} %{http_version}\\n' -H 'Cookie: hb=many' --resolve one.test:$port:127.0.0.1 $urls 2>&1`;
        my @good = $out =~ /^204 2$/mg;
        is(scalar @good, 30, "$path: thirty answers") or diag $out;
    }
};

no_bad_log_lines();
done_testing;
