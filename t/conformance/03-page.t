# The page for a hidden iframe: tiny, never stored, framed by nobody but the allowed.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Heartbeat::Test;
use Heartbeat::Token;
use Test::More;

my $SECRET = 'a secret of this test, 32 bytes or more';
my $redis = redis();
my $server = server(
    main => [ [ heartbeat_zone => '1m' ], [ heartbeat_redis => $redis->url ], [ heartbeat_flush => '200ms' ] ],
    vhosts => [ {
        name => 'one.test',
        settings => [ [ heartbeat_ids => 'plain' ], [ heartbeat_key_file => Heartbeat::Token::key_file(workplace(), 'key', $SECRET) ] ],
        locations => {
            both_endpoints(),
            '/listed' => { endpoint => 'page', settings => [ [ heartbeat_origin => 'https://a.example', 'http://b.example:8080' ] ] },
            '/tokens' => { endpoint => 'page', settings => [ [ heartbeat_origin => 'https://a.example' ] ] },
            '/slow' => { endpoint => 'page', settings => [ [ heartbeat_rate => '30r/m', 'burst=0' ] ] },
            '/any' => { endpoint => 'page', settings => [ [ heartbeat_origin => '*' ] ] },
        },
    } ],
)->start;

subtest 'GET' => sub {
    my $asked = now_ms();
    my $r = $server->fetch('GET', '/hb/page', headers => ['Cookie: hb=alice']);
    is($r->status, 200, 'status 200');
    like($r->header('content-type'), qr{^text/html\b}, 'HTML');
    is($r->header('cache-control'), 'no-store, no-cache', 'never stored');
    like($r->header('content-security-policy'), qr/frame-ancestors 'self'(?:;|\s*$)/, 'framed by this origin only');
    like($r->body, qr/<!doctype html>/i, 'a page');
    like($r->body, qr/postMessage/, 'that tells its parent');
    unlike($r->body, qr/unload/, 'without an unload handler');
    cmp_ok(length $r->body, '<', 4096, 'tiny');
    is($r->header('access-control-allow-origin'), undef, 'no CORS header');
    last_seen_is($redis, 'one.test', 'alice', $asked, now_ms(), 'the session is recorded');
    is($redis->session('one.test', 'alice')->{source}, 'page', 'by the page');
};

subtest 'HEAD' => sub {
    my $c = $server->connect;
    my $r = $c->request('HEAD', '/hb/page', headers => ['Cookie: hb=bob']);
    is($r->status, 200, 'status 200');
    like($r->header('content-type'), qr{^text/html\b}, 'HTML');
    is($r->header('cache-control'), 'no-store, no-cache', 'never stored');
    is($c->rest(0.2), '', 'no body');
    is($c->request('GET', '/hb/page')->status, 200, 'the connection stays');
};

subtest 'without a session' => sub {
    is($server->fetch('GET', '/hb/page')->status, 200, '200 all the same');
};

subtest 'who may frame it' => sub {
    my $csp = $server->fetch('GET', '/listed')->header('content-security-policy');
    like($csp, qr{frame-ancestors 'self' https://a\.example http://b\.example:8080}, 'this origin and the listed ones');
    $csp = $server->fetch('GET', '/any')->header('content-security-policy');
    like($csp, qr/frame-ancestors \*/, 'anybody where all origins are allowed');
};

sub facts { my ($r) = @_; my %facts = $r->body =~ /data-(\w+)="([^"]*)"/g; return join ' ', @facts{qw(state status seconds)} }
sub refreshes { my ($r) = @_; return $r->body =~ /http-equiv="refresh" content="(\d+)"/ ? $1 : 'never' }

subtest 'what it says' => sub {
    my $r = $server->fetch('GET', '/hb/page', headers => ['Cookie: hb=carol']);
    is(facts($r), 'alive 200 0', 'a session');
    is(refreshes($r), 30, 'loads itself again every third of the timeout');
    is(facts($server->fetch('GET', '/hb/page')), 'none 200 0', 'no session');
    is(refreshes($server->fetch('GET', '/hb/page?a=1&b=5', headers => ['Cookie: hb=carol'])), 'never', 'but not where the script does that');
    ok(eventually { ($redis->session('one.test', 'carol')->{last_active} // 0) > 0 }, 'a=1: a human is there');
    is($server->fetch('GET', '/hb/page?b=5&a=0', headers => ['Cookie: hb=dave'])->status, 200, 'a=0: the tab is open');
    ok(eventually { $redis->session('one.test', 'dave')->{last} }, 'which is recorded');
    is($redis->session('one.test', 'dave')->{last_active} // 0, 0, 'as no more than that');
};

subtest 'a refusal, in a frame' => sub {
    my $html = 'Accept: text/html,application/xhtml+xml,*/*;q=0.8';
    my $bad = '/tokens?t=' . Heartbeat::Token::mint($SECRET, sid => 'x', exp => time - 1000);
    my $r = $server->fetch('GET', $bad, headers => [$html]);
    is($r->status, 403, 'a bad token: 403');
    like($r->header('content-type'), qr{^text/html\b}, 'with a page');
    is($r->header('cache-control'), 'no-store', 'never stored');
    is($r->header('content-security-policy'), $server->fetch('GET', '/tokens')->header('content-security-policy'), 'for the same origins');
    is(facts($r), 'refused 403 0', 'that says so');
    is(refreshes($r), 'never', 'and stays');
    is($server->fetch('GET', $bad)->body =~ tr/\n//, 1, 'a line of text for others');
    like($server->fetch('GET', $bad, headers => ['Accept: application/json, text/html'])->body, qr/^\{"error":/, 'JSON for scripts');

    $server->fetch('GET', '/slow', headers => [ $html, 'Cookie: hb=often' ]);
    $r = $server->fetch('GET', '/slow', headers => [ $html, 'Cookie: hb=often' ]);
    is($r->status, 429, 'too often: 429');
    is($r->header('retry-after'), 2, 'for two seconds');
    is(facts($r), 'wait 429 2', 'the page says that, too');
    is(refreshes($r), 30, 'and comes again');
};

subtest 'other methods' => sub {
    my $r = $server->fetch('POST', '/hb/page', body => 'x=1');
    is($r->status, 405, 'status 405');
    like($r->header('allow'), qr/^(?:GET, HEAD|HEAD, GET)$/, 'Allow');
};

subtest 'HTTP/1.0' => sub {
    my $c = $server->connect;
    my $r = $c->request('GET', '/hb/page', version => '1.0');
    is($r->status, 200, 'status 200');
    like($r->body, qr/postMessage/, 'with the page');
    ok(defined $c->until_closed(2), 'and closes');
};

no_bad_log_lines();
done_testing;
