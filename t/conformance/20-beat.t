# The beat: bodies in every format, their limits, who is recorded, and what is said of mistakes.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Heartbeat::Test;
use JSON::PP;
use Test::More;

my $FORM = 'Content-Type: application/x-www-form-urlencoded';
my $JSON = 'Content-Type: application/json';
my $TEXT = 'Content-Type: text/plain;charset=UTF-8';

my $redis = redis();
my $server = server(
    main => [ [ heartbeat_zone => '2m' ], [ heartbeat_redis => $redis->url ], [ heartbeat_flush => '200ms' ] ],
    vhosts => [ {
        name => 'one.test', tls => 1,
        settings => [ [ heartbeat_ids => 'plain' ] ],
        locations => {
            both_endpoints(),
            '/beat' => { endpoint => 'beat' },
            '/small' => { endpoint => 'beat', settings => [ [ heartbeat_body => '1k' ] ] },
            '/limited' => { endpoint => 'beat', native_apache => 'LimitRequestBody 100', settings => [ [ heartbeat_origin => 'https://a.example' ] ] },
            '/large' => { endpoint => 'beat', settings => [ [ heartbeat_body => '2m' ] ] },
            '/observed' => { endpoint => 'beat', settings => [ [ heartbeat_policy => 'observe' ] ] },
            '/never' => { endpoint => 'beat', settings => [ [ heartbeat_policy => 'never' ] ] },
            '/field' => { endpoint => 'beat', settings => [ [ heartbeat_session => 'body:sid', 'cookie:hb' ], [ heartbeat_user => 'body:name' ] ] },
            '/cors' => { endpoint => 'beat', settings => [ [ heartbeat_origin => 'https://a.example' ] ] },
            '/rated' => { endpoint => 'beat', settings => [ [ heartbeat_rate => '30r/m', 'burst=2' ], [ heartbeat_origin => 'https://a.example' ] ] },
            '/rated-ping' => { endpoint => 'ping', settings => [ [ heartbeat_rate => '30r/m', 'burst=2' ], [ heartbeat_trim => 'on' ] ] },
        },
    } ],
)->start;

sub beat { my ($path, $body, @headers) = @_; return $server->fetch('POST', $path, body => $body, headers => [@headers]) }
sub session { my ($id) = @_; return eventually { my $s = $redis->session('one.test', $id); %$s && $s } 3 }

subtest 'an empty beat' => sub {
    my $c = $server->connect;
    my $asked = now_ms();
    for (1 .. 3) {
        my $r = $c->request('POST', '/beat', body => '', headers => ['Cookie: hb=empty']);
        is($r->status, 204, 'status 204');
        is($r->header('cache-control'), 'no-store', 'not stored');
        is($r->header('content-length'), undef, 'no body') if $server->is_nginx;
    }
    is($c->rest(0.1), '', 'no byte more');
    my $answered = now_ms();
    last_seen_is($redis, 'one.test', 'empty', $asked, $answered, 'last seen is right');
    my $s = session('empty');
    is($s->{beats}, 3, 'three signs of life');
    is($s->{source}, 'beat', 'by beats');
    ok(Heartbeat::Test::seen_right($s->{last_active}, $asked, $answered), 'of a human');
    my $r = $server->fetch('POST', '/beat', headers => ['Cookie: hb=bare'], version => '1.1');
    is($r && $r->status, 204, 'without any body or length');
};

my $n = 0;

subtest 'each format' => sub {
    my $form = 'session=S&user=Ann+M%C3%BCller&page=%2Fcart%3Fx%3D1&other=ignored';
    my $json = '{"session":"S","user":"Ann M\u00fcller","page":"/cart?x=1","other":{"a":[1]}}';
    for my $case ([ $FORM => $form ], [ $JSON => $json ], [ 'content-type: APPLICATION/JSON ; charset=utf-8' => $json ],
        [ $TEXT => $json ], [ $TEXT => $form ], [ 'X-None: 1' => $json ], [ 'X-None: 1' => $form ])
    {
        my ($header, $body) = @$case;
        my $id = 'format' . ++$n;
        $body =~ s/S(?=[&"])/$id/;
        is(beat('/beat', $body, $header)->status, 204, "$header: " . substr $body, 0, 20);
        my $s = session($id);
        ok($s, 'recorded') or next;
        is($s->{source}, 'beat', 'as a beat');
        is($s->{user}, 'Ann Müller', 'with the user') ;
        is($s->{page}, '/cart?x=1', 'and the page');
    }
};

subtest 'what it says' => sub {
    for my $body ('active=0', 'active=false') {
        my $id = 'still' . ++$n;
        is(beat('/beat', $body, $FORM, "Cookie: hb=$id")->status, 204, $body);
        is(session($id)->{last_active}, undef, 'nobody was active');
    }
    for my $body ('{"active":true}', '{"active":1}', '{"active":null}', '{}') {
        my $id = 'awake' . ++$n;
        is(beat('/beat', $body, $JSON, "Cookie: hb=$id")->status, 204, $body);
        ok(session($id)->{last_active}, 'somebody was active');
    }
    is(beat('/observed', 'active=1', $FORM, 'Cookie: hb=observed')->status, 204, 'where it is only observed');
    is(session('observed')->{last_active}, undef, 'nobody was active');
    is(beat('/never', '', 'Cookie: hb=nevermore')->status, 204, 'where nothing is recorded');
    is(beat('/beat', '{"session":12345}', $JSON)->status, 204, 'a number as the session');
    ok(session('12345'), 'is its text');
    sleep 0.5;
    is($redis->seen('one.test', 'nevermore'), undef, 'policy never records nobody');
};

subtest 'whose it is' => sub {
    is(beat('/beat', 'session=b1', $FORM, 'Cookie: hb=c1')->status, 204, 'the sources count first');
    ok(session('c1'), 'the cookie');
    is(beat('/field', 'sid=f+1&name=Bob&session=no&user=no', $FORM, 'Cookie: hb=no')->status, 204, 'a field of the body as a source');
    is((session('f 1') || {})->{user}, 'Bob', 'for session and user');
    is(beat('/field', 'x=1', $FORM, 'Cookie: hb=f2')->status, 204, 'without that field');
    ok(session('f2'), 'the next source');
    for my $body ('', 'user=Bob', 'session=', 'session=' . 'x' x 4097) {
        my $r = beat('/beat', $body, $FORM);
        is($r->status, 400, 'nobody: 400');
        is($r->body, "no session\n", 'and why');
    }
    sleep 0.4;
    is($redis->seen('one.test', $_), undef, "$_ was not recorded") for qw(b1 no);
};

subtest 'mistakes' => sub {
    my @cases = (
        [ $FORM, 'active=maybe', 'active' ], [ $FORM, 'leave=x', 'leave' ], [ $FORM, 'user=a%00b', 'user' ], [ $FORM, 'page=%0a', 'page' ],
        [ $FORM, 'session=a%1fb', 'session' ], [ $JSON, '{"session":[]}', 'session' ], [ $JSON, '{"user":true}', 'user' ], [ $JSON, '{"page":1}', 'page' ],
        [ $JSON, '{"active":"yes"}', 'active' ], [ $JSON, '{"token":{}}', 'token' ], [ $JSON, '{', 'JSON' ], [ $JSON, '[]', 'JSON' ],
        [ $JSON, '{"a":1,"a":2}', 'JSON' ], [ $JSON, "{\"user\":\"\xff\"}", 'JSON' ], [ $TEXT, '{nonsense', 'JSON' ], [ $JSON, '{"a":' x 30000, 'JSON' ],
        [ 'Content-Type: image/png', 'x', 'application/json' ], [ 'Content-Type: multipart/form-data; boundary=x', 'x', 'application/x-www-form-urlencoded' ],
    );
    for my $case (@cases) {
        my ($type, $body, $named) = @$case;
        $body = substr $body, 0, 60000;
        my $r = beat('/beat', $body, $type, 'Cookie: hb=mistaken');
        is($r->status, 400, '400: ' . substr $body, 0, 30);
        like($r->header('content-type') // '', qr{^text/plain\b}, 'plain text');
        like($r->body, qr/\A[^\n]*\Q$named\E[^\n]*\n\z/, "one line that names $named");
        is($r->header('cache-control'), 'no-store', 'not stored');
    }
    my $r = beat('/beat', '{"secret":"s3cr3t"', $JSON, 'Cookie: hb=mistaken', 'Accept: application/json');
    is($r->status, 400, '400 as JSON');
    like($r->header('content-type') // '', qr{^application/json\b}, 'its type');
    like(decode_json($r->body)->{error}, qr/JSON/, 'its error');
    unlike($r->body, qr/s3cr3t/, 'nothing of the body is repeated');
    sleep 0.4;
    is($redis->seen('one.test', 'mistaken'), undef, 'nobody was recorded');
};

subtest 'other methods' => sub {
    for my $method (qw(GET HEAD PUT DELETE)) {
        my $r = $server->fetch($method, '/beat', headers => ['Cookie: hb=method']);
        is($r->status, 405, "$method: 405");
        is($r->header('allow'), 'POST', 'Allow');
        is($r->body, $method eq 'HEAD' ? '' : "method not allowed, expected POST\n", 'one line');
    }
    my $c = $server->connect;
    is($c->request('PUT', '/beat', body => 'x' x 100)->status, 405, 'the body of another method');
    is($c->request('POST', '/beat', body => '', headers => ['Cookie: hb=after'])->status, 204, 'is out of the way of the next request');
};

sub chunked { return join('', map { sprintf "%x\r\n%s\r\n", length, $_ } @_) . "0\r\n\r\n" }

subtest 'sizes' => sub {
    for my $case ([ '/small', 1024 ], [ '/beat', 65536 ], [ '/large', 2 << 20 ]) {
        my ($path, $limit) = @$case;
        my $body = 'session=s&x=';
        $body .= 'x' x ($limit - length $body);
        is(beat($path, $body, $FORM, 'Cookie: hb=sized')->status, 204, "$path: $limit bytes");
        my $r = beat($path, "${body}x", $FORM, 'Cookie: hb=oversized');
        is($r && $r->status, 413, 'one more: 413') or next;
        is($r->body, "body: expected at most $limit bytes\n", 'in our own words');
        is($r->header('cache-control'), 'no-store', 'not stored');
        $r = beat($path, "${body}x", $FORM, 'Cookie: hb=oversized', 'Accept: application/json');
        is_deeply(decode_json($r->body), { error => "body: expected at most $limit bytes" }, 'or as JSON');
    }
    # Refused by its length, before it is sent.
    my $c = $server->connect;
    $c->send("POST /beat HTTP/1.1\r\nHost: one.test\r\nCookie: hb=oversized\r\nContent-Length: 10000000\r\n\r\n");
    my $r = $c->response('POST');
    is($r && $r->status, 413, 'refused by its length');
    ok(defined $c->until_closed(10), 'and the connection ends') if $r;
    $c = $server->connect;
    $c->send("POST /beat HTTP/1.1\r\nHost: one.test\r\nContent-Length: 10000000\r\nExpect: 100-continue\r\n\r\n");
    $r = $c->response('POST');
    is($r && $r->status, 413, 'not asked to go on');
    $c = $server->connect;
    $c->send("POST /beat HTTP/1.1\r\nHost: one.test\r\nCookie: hb=expects\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n");
    $r = $c->response('POST');
    is($r && $r->status, 100, 'a small one is asked to');
    $c->send('session=s1');
    $r = $c->response('POST');
    is($r && $r->status, 204, 'and is taken');
    sleep 0.4;
    is($redis->seen('one.test', 'oversized'), undef, 'nobody was recorded by a body that is too large');
};

subtest 'what the server itself allows' => sub {
    plan skip_all => 'nginx answers before the beat is asked' if $server->is_nginx;
    my $r = beat('/limited', 'session=limited&x=' . 'x' x 100, 'Origin: https://a.example');
    is($r->status, 413, 'more: 413');
    is($r->header('access-control-allow-origin'), 'https://a.example', 'which the page may see');
    is(beat('/limited', 'session=limited')->status, 204, 'less: 204');
};

subtest 'a transfer coding that is not known' => sub {
    for my $coding ('gzip, chunked', 'gzip') {
        my $c = $server->connect;
        $c->send("POST /beat HTTP/1.1\r\nHost: one.test\r\nCookie: hb=coded\r\nTransfer-Encoding: $coding\r\n\r\n" . chunked('session=coded'));
        my $r = $c->response('POST');
        ok($r && $r->status =~ /^(400|501)$/, "$coding: refused (RFC 9112, section 6.1)") or diag($r && $r->status);
        ok($c->until_closed(3), "$coding: and the connection closed");
    }
    ok(!%{ $redis->session('one.test', 'coded') }, 'nobody is recorded');
};

subtest 'chunked' => sub {
    my $head = "POST /beat HTTP/1.1\r\nHost: one.test\r\nTransfer-Encoding: chunked\r\n$FORM\r\n";
    my $c = $server->connect;
    $c->send("$head\r\n" . chunked('session=ch', 'unked&user=', 'Ann'));
    my $r = $c->response('POST');
    is($r && $r->status, 204, 'in one go');
    is((session('chunked') || {})->{user}, 'Ann', 'recorded');
    $c->send_pieces(0.1, "$head\r\n", "a\r\nsession=sl\r\n", "3\r\no", "wl\r\n", "1\r\ny\r\n0\r", "\n\r\n");
    $r = $c->response('POST');
    is($r && $r->status, 204, 'in pieces, on the same connection');
    ok(session('slowly'), 'recorded');
    $c->send("$head\r\n" . chunked(split //, 'session=tiny&'));
    $r = $c->response('POST');
    is($r && $r->status, 204, 'byte by byte');
    ok(session('tiny'), 'recorded');
    is($c->request('HEAD', '/hb/ping')->status, 204, 'and the connection goes on');
    for my $pause (0, 0.2) {
        $c = $server->connect;
        $c->send_pieces($pause, "$head\r\n", chunked('x' x 40000, 'x' x 25536));
        $r = $c->response('POST');
        is($r && $r->status, 400, 'as much as may be: read, and nobody in it');
        $c = $server->connect;
        $c->send_pieces($pause, "$head\r\n", sprintf("%x\r\n%s\r\n", 40000, 'x' x 40000), sprintf("%x\r\n%s\r\n", 30000, 'x' x 30000), "0\r\n\r\n");
        $r = $c->response('POST');
        is($r && $r->status, 413, 'more than that: 413');
        is($r && $r->body, "body: expected at most 65536 bytes\n", 'in our own words');
    }
};

subtest 'slowly, and cut off' => sub {
    my $c = $server->connect;
    $c->send_pieces(0.1, "POST /beat HTTP/1.1\r\nHost: one.test\r\n", "$FORM\r\nContent-Length: 18\r\n\r\n", 'sess', 'ion=', 'piece', 'wise1');
    my $r = $c->response('POST');
    is($r && $r->status, 204, 'in pieces');
    ok(session('piecewise1'), 'recorded');
    $c = $server->connect;
    $c->send("POST /beat HTTP/1.1\r\nHost: one.test\r\n$FORM\r\nContent-Length: 50\r\n\r\nsession=cutoff");
    $c->close;
    $c = $server->connect;
    $c->send("POST /beat HTTP/1.1\r\nHost: one.test\r\n$FORM\r\nTransfer-Encoding: chunked\r\n\r\n10\r\nsession=cutoff");
    $c->close;
    $c = $server->connect;
    $c->send("POST /beat HTTP/1.1\r\nHost: one.test\r\n$FORM\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n");
    $r = $c->response('POST');
    is($r && $r->status, 400, 'no chunks: 400');
    sleep 0.5;
    is($redis->seen('one.test', 'cutoff'), undef, 'half a beat is none');
};

subtest 'HTTP/1.0, pipelined, TLS' => sub {
    my $r = beat('/beat', 'session=old', $FORM);
    $r = $server->fetch('POST', '/beat', version => '1.0', body => 'session=old', headers => [$FORM]);
    is($r && $r->status, 204, 'HTTP/1.0');
    my $c = $server->connect;
    $c->send(join '', map { $c->request_bytes('POST', '/beat', body => "session=p$_", headers => [$FORM]), $c->request_bytes('HEAD', '/hb/ping') } 1 .. 5);
    my @statuses = map { ($c->response('POST') // $r)->status, ($c->response('HEAD') // $r)->status } 1 .. 5;
    is("@statuses", join(' ', (204) x 10), 'ten answers in order');
    is($c->rest(0.1), '', 'and nothing else');
    ok(session("p$_"), "p$_ is recorded") for 1, 5;
    $c = $server->connect(tls => 1);
    is($c->request('POST', '/beat', body => 'session=tls', headers => [$FORM])->status, 204, 'TLS');
};

sub curl {
    my ($path, @options) = @_;
    my $quoted = join ' ', map {"'$_'"} @options;
    my $port = $server->tls_port;
    my $text = `curl -sk --http2 --max-time 10 -D - --resolve one.test:$port:127.0.0.1 $quoted 'https://one.test:$port$path' 2>&1`;
    my ($status) = $text =~ m{^HTTP/2 (\d+)}m;
    return ($status // '', $text);
}

subtest 'HTTP/2' => sub {
    plan skip_all => 'the prefork MPM does not serve HTTP/2' if $server->is_prefork;
    is((curl('/beat', '-d', 'session=h2'))[0], 204, 'a form');
    ok(session('h2'), 'recorded');
    is((curl('/beat', '-X', 'POST', '-H', 'Cookie: hb=h2empty'))[0], 204, 'without a body');
    my $folder = workplace();
    for my $size (65536, 65537, 1000000) {
        open my $file, '>', "$folder/body" or die;
        print $file 'session=h2large&x=' . 'x' x ($size - 18);
        close $file;
        for my $length ([], [ '-H', 'Content-Length:' ]) {
            my ($status, $text) = curl('/beat', '--data-binary', "\@$folder/body", @$length);
            # curl 7.88 loses an answer behind which the server resets the stream, as it may (RFC 9113, section 8.1).
            next if $size > 65536 && $status eq '' && $text =~ /^\s*$/;
            is($status, $size > 65536 ? 413 : 204, "$size bytes" . (@$length ? ' of unknown length' : ''));
            like($text, qr/expected at most 65536 bytes/, 'in our own words') if $size > 65536;
        }
    }
    is((curl('/beat', '-d', 'session=h2again'))[0], 204, 'and again');
};

subtest 'other origins' => sub {
    my $r = beat('/cors', 'session=cors', $TEXT, 'Origin: https://a.example');
    is($r->status, 204, 'a simple call');
    is($r->header('access-control-allow-origin'), 'https://a.example', 'of this origin');
    is($r->header('access-control-allow-credentials'), 'true', 'with cookies');
    $r = $server->fetch('OPTIONS', '/cors', headers => [ 'Origin: https://a.example', 'Access-Control-Request-Method: POST', 'Access-Control-Request-Headers: content-type' ]);
    is($r->status, 204, 'preflight');
    is($r->header('access-control-allow-methods'), 'POST', 'its method');
    like($r->header('access-control-allow-headers'), qr/Content-Type/i, 'its headers');
    $r = beat('/cors', '{', $JSON, 'Origin: https://a.example');
    is($r->status, 400, 'an error');
    is($r->header('access-control-allow-origin'), 'https://a.example', 'can be read, too');
    $r = beat('/cors', 'session=cors', $TEXT, 'Origin: https://evil.example');
    is(join('', grep {/^access-control/} keys %{ $r->{headers} }), '', 'not by others');
};

subtest 'too many' => sub {
    for my $path ('/rated', '/rated-ping') {
        my ($method, @body) = $path eq '/rated' ? ('POST', body => '') : ('HEAD');
        my @r = map { $server->fetch($method, $path, @body, headers => [ "Cookie: hb=rated$path", 'Origin: https://a.example' ]) } 1 .. 5;
        my @statuses = map { $_->status } @r;
        like("@statuses", qr/^204 204(?: 204)? 429/, "$path: as many as are allowed, then 429");
        is($statuses[-1], 429, 'for a while');
        like($r[-1]->header('retry-after') // '', qr/^[12]$/, 'Retry-After') ;
        is($r[-1]->header('cache-control'), 'no-store', 'not stored');
        like($r[-1]->header('access-control-expose-headers') // '', qr/Retry-After/, 'which a script of another origin may read') if $path eq '/rated';
        sleep $r[-1]->header('retry-after');
        is($server->fetch($method, $path, @body, headers => ["Cookie: hb=rated$path"])->status, 204, 'then again');
        is($server->fetch($method, $path, @body, headers => ["Cookie: hb=other$path"])->status, 204, 'others are not concerned');
    }
};

no_bad_log_lines();
done_testing;
