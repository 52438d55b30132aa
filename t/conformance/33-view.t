# One page view, as Redis has merged it, for the operator alone.
use strict;
use warnings;
use FindBin;
use JSON::PP;
use lib "$FindBin::Bin/../lib";
use Heartbeat::Scripts;
use Heartbeat::Test;
use MIME::Base64 qw(decode_base64);
use Test::More;

my $redis = redis(acl => { viewer => 'on >s3cret ~hb:* +select +ping +time +set +get +hget +hset +hmget +zadd +zrangebyscore +zrem +pexpire +eval +evalsha +hkeys +hstrlen' });
my $script = Heartbeat::Scripts->new(redis => $redis);
my %view = ('/view' => { endpoint => 'view' });
my $of = sub { [ heartbeat_redis => "redis://viewer:s3cret\@127.0.0.1:" . $redis->port ], [ heartbeat_prefix => $_[0] ] };
my $server = server(
    main => [ [ heartbeat_zone => '1m' ], [ heartbeat_redis => $redis->url ], [ heartbeat_flush => '200ms' ] ],
    vhosts => [
        { name => 'one.test', tls => 1, settings => [ [ heartbeat_origin => 'https://a.example' ] ], locations => { %view, both_endpoints(),
            '/denied' => { endpoint => 'view', native_nginx => '            deny all;', native_apache => "        Require all denied\n" } } },
        { name => 'sharded.test', settings => [ [ heartbeat_shards => 5 ] ], locations => \%view },
        { name => 'acl.test', settings => [ $of->('hb') ], locations => \%view },
        { name => 'denied.test', settings => [ $of->('other') ], locations => \%view },
    ],
)->start;

sub named { my ($word) = @_; return $word . 'A' x (22 - length $word) }
sub ask { my ($view, %o) = @_; return $server->fetch('GET', "/view?view=$view", %o) }

sub json {
    my ($view, %o) = @_;
    my $r = ask($view, %o);
    is($r && $r->status, 200, "200 for $view") or diag($r ? $r->raw : 'none');
    is($r->header('content-type'), 'application/json', 'as JSON');
    return JSON::PP->new->utf8->decode($r->body);
}

my $one = { site => 'one.test' };
my $now = $script->now;

subtest 'merged' => sub {
    my $view = named('merged');
    $script->merge($one, delivered($view, at => $now, session => 'abc'), batch($view, 0, at => $now + 10, event => 'load', payload => '{"a":1}'),
        batch($view, 3, at => $now + 40, event => 'leave', flags => 'f', transport => 'beacon', payload => "Zo\xc3\xab</script>"), batch($view, 1, at => $now + 50, payload => "\x1f\x8b\0\xff"), batch($view, 1));
    my $body = ask($view)->body;
    unlike($body, qr/</, 'nothing that could be taken for HTML');
    is_deeply(json($view), {
        view => $view, session => 'abc', family => 'chromium', state => 'open', script => $now, load => $now + 10, leave => $now + 40, first => $now, seen => $script->view($one, $view)->{seen},
        parts => 1, choice => 'fetchLater', transport => 'fetch', duplicates => 1, bytes => 7 + 13 + 4, missing => [2], final => 3,
        batches => [ { n => 0, payload => '{"a":1}' }, { n => 1, base64 => 'H4sA/w==' }, { n => 3, payload => "Zo\x{eb}</script>" } ],
    }, 'what there is of it');
    $script->merge($one, batch($view, 2, event => 'more'));
    my $whole = json($view);
    is_deeply([ $whole->{state}, $whole->{missing}, scalar @{ $whole->{batches} } ], [ 'complete', [], 4 ], 'whole');
};

subtest 'only delivered' => sub {
    my $view = named('delivered');
    $script->merge($one, delivered($view, at => $now));
    is_deeply(json($view), { view => $view, session => undef, family => 'chromium', state => 'open', script => $now, load => undef, leave => undef, first => $now, seen => $now,
        parts => 1, choice => 'fetchLater', transport => undef, duplicates => 0, bytes => 0, missing => [], final => undef, batches => [] }, 'no batch came');
};

subtest 'a thousand batches' => sub {
    my $view = named('large');
    my %payload = map { $_ => join '', map { chr rand 256 } 1 .. 700 } 0 .. 999;
    $script->merge($one, map { batch($view, $_, payload => $payload{$_}) } reverse 0 .. 999);
    my $got = json($view);
    is(scalar @{ $got->{batches} }, 1000, 'all of them');
    is(scalar(grep { $got->{batches}[$_]{n} != $_ || decode_base64($got->{batches}[$_]{base64}) ne $payload{$_} } 0 .. 999), 0, 'in order, as they came');
    $script->merge($one, batch($view, 1000, payload => 'x'));
    my $more = named('more');
    $script->merge($one, map { batch($more, $_, payload => 'x' x 300_000) } 0 .. 3);
    $got = json($more);
    is_deeply([ map { defined $_->{payload} ? length $_->{payload} : undef } @{ $got->{batches} } ], [ 300_000, 300_000, undef, undef ], 'of more than 768 KiB, the first');
    is_deeply($got->{missing}, [], 'none is missing');
};

subtest 'names that an application gives' => sub {
    for my $name ('x', 'order-17', 'A' x 21, 'A' x 23, 'A' x 64) {
        is(ask($name)->status, 404, "$name: nobody knows it");
        $script->merge($one, batch($name, 0, payload => 'said'));
        is(json($name)->{batches}[0]{payload}, 'said', 'until it has said something');
    }
};

subtest 'mistakes' => sub {
    for my $query ('', '?', '?view=', '?view=x.', '?view=' . 'A' x 65, '?view=' . 'A' x 21 . '*', '?view=' . 'A' x 20 . '%00A', '?view=' . 'A' x 21 . '%2b') {
        my $r = $server->fetch('GET', "/view$query");
        is($r->status, 400, "400: $query");
        is($r->body, "view: expected the name of a page view, up to 64 letters, digits, - and _\n", 'says why');
        is($r->header('cache-control'), 'no-store', 'not stored');
    }
    my $r = ask(named('nobody'));
    is($r->status, 404, 'one that is not there');
    is($r->header('content-type'), 'application/json', 'as JSON');
    is($r->body, qq({"error":"there is no such view"}\n), 'says so');
    for my $method (qw(POST PUT DELETE)) {
        $r = $server->fetch($method, '/view?view=' . named('merged'), body => '');
        is($r->status, 405, "$method: 405");
        is($r->header('allow'), 'GET, HEAD', 'says which there are');
    }
};

subtest 'headers' => sub {
    my $view = named('merged');
    my $r = ask($view, headers => ['Origin: https://a.example']);
    is($r->header('cache-control'), 'no-store', 'not stored');
    is($r->header('x-content-type-options'), 'nosniff', 'taken for what it is');
    is($r->header('cross-origin-resource-policy'), 'same-origin', 'for no other origin');
    is($r->header('access-control-allow-origin'), undef, 'and no other may read it, even one that may ping');
    my $h = $server->fetch('HEAD', "/view?view=$view");
    is($h->status, 200, 'HEAD');
    is($h->header('content-length'), length $r->body, 'says the length') if $server->is_nginx;
};

subtest 'shards' => sub {
    my $site = { site => 'sharded.test', shards => 5 };
    for my $n (1 .. 20) {
        my $view = named("s$n");
        $script->merge($site, batch($view, 0, payload => "of $n", flags => 'f'));
        my $got = json($view, host => 'sharded.test');
        is("$got->{state} $got->{batches}[0]{payload}", "complete of $n", "$view: found in its shard");
    }
    is(ask(named('merged'), host => 'sharded.test')->status, 404, 'one of another site is not found');
};

subtest 'what Redis allows' => sub {
    my $view = named('acl');
    $script->merge({ site => 'acl.test' }, batch($view, 0, payload => 'x'));
    is(json($view, host => 'acl.test')->{batches}[0]{payload}, 'x', 'the commands of the manual are enough');
    my $r = ask($view, host => 'denied.test');
    is($r->status, 503, 'keys that the user may not read: 503');
    like($r->header('retry-after'), qr/^\d+$/, 'with Retry-After');
    unlike($r->raw, qr/NOPERM|viewer|s3cret/, 'without details');
    like($server->error_log, qr/eartbeat: Redis [^\n]*NOPERM/, 'which are in the log');
};

subtest 'a key of another type' => sub {
    $redis->call('SET', 'hb:{one.test}:view:' . named('string'), 'x');
    is(ask(named('string'))->status, 503, 'a 503');
    like($server->error_log, qr/eartbeat: Redis [^\n]*WRONGTYPE/, 'the log says why');
};

subtest 'protected by means of the server' => sub {
    my $r = $server->fetch('GET', '/denied?view=' . named('merged'));
    is($r->status, 403, 'who may not ask is told so');
    unlike($r->body, qr/abc/, 'and nothing else');
};

subtest 'over HTTP/2' => sub {
    plan skip_all => 'the prefork MPM does not serve HTTP/2' if $server->is_prefork;
    my $port = $server->tls_port;
    my $text = `curl -sk --http2 --max-time 10 -w '\n%{http_version} %{http_code}' --resolve one.test:$port:127.0.0.1 'https://one.test:$port/view?view=@{[ named('merged') ]}'`;
    like($text, qr/"session":"abc".*\n2 200$/s, 'the same answer');
};

subtest 'Redis away' => sub {
    $redis->stop;
    my $r = ask(named('merged'), headers => ['Accept: application/json']);
    is($r->status, 503, 'is told at once');
    like($r->header('retry-after'), qr/^\d+$/, 'with Retry-After');
    is($r->header('content-type'), 'application/json', 'as JSON where that was asked for');
    is($server->ping('s', target => '/hb/ping')->status, 204, 'pings go on');
    $redis->start;
    is(ask(named('merged'))->status, 404, 'a Redis without its data knows no view');
};

no_bad_log_lines();
done_testing;
