# The audit: active and open time of each user and day as Redis has kept it, in three formats, within any range.
use strict;
use warnings;
use Digest::SHA qw(sha1_hex);
use FindBin;
use HTML::Parser;
use JSON::PP;
use lib "$FindBin::Bin/../lib";
use Heartbeat::Test;
use POSIX qw(strftime);
use Test::More;
use Text::CSV;

my $redis = redis(acl => { auditor => 'on >s3cret ~hb:* +select +ping +time +set +get +hget +hset +hmget +zadd +zrangebyscore +zrem +pexpire +eval +evalsha +zcard +zrange +zscore' });
my %audit = ('/audit' => { endpoint => 'audit' }, both_endpoints());
my %protected = (
    '/denied' => { endpoint => 'audit', native_nginx => '            deny all;', native_apache => "        Require all denied\n" },
    '/page.shtml' => { native_nginx => "            ssi on;\n            ssi_types *;\n" },
    '/missing/' => { native_nginx => "            error_page 404 = /audit;\n" },
);
my $server = server(
    main => [ [ heartbeat_zone => '1m' ], [ heartbeat_redis => $redis->url ], [ heartbeat_flush => '200ms' ] ],
    vhosts => [
        { name => 'one.test', tls => 1, locations => { %audit, %protected } },
        { name => 'live.test', settings => [ [ heartbeat_shards => 3 ], [ heartbeat_user => 'header:X-User' ], [ heartbeat_retention => '30d' ] ], locations => \%audit },
        { name => 'sharded.test', settings => [ [ heartbeat_shards => 5 ] ], locations => \%audit },
        { name => 'acl.test', settings => [ [ heartbeat_redis => "redis://auditor:s3cret\@127.0.0.1:" . $redis->port ], [ heartbeat_prefix => 'hb:acl' ] ], locations => \%audit },
        { name => 'denied.test', settings => [ [ heartbeat_redis => "redis://auditor:s3cret\@127.0.0.1:" . $redis->port ], [ heartbeat_prefix => 'other' ] ], locations => \%audit },
    ],
)->start;

sub store {
    my ($day, $user, $active, $open, %o) = @_;
    my $tag = $o{tag} // '{one.test}';
    my $prefix = $o{prefix} // 'hb';
    $redis->call('ZADD', "$prefix:$tag:active:$day", $active, $user) if defined $active;
    $redis->call('ZADD', "$prefix:$tag:open:$day", $open, $user) if defined $open;
}

sub ask { my ($query, %o) = @_; return $server->fetch('GET', "/audit?$query", %o) }

sub json {
    my ($query, %o) = @_;
    my $r = ask($query, %o);
    is($r && $r->status, 200, "200 for $query") or diag($r ? $r->raw : 'none');
    is($r->header('content-type'), 'application/json', 'as JSON');
    return JSON::PP->new->utf8->decode($r->body);
}

my $HOUR = 3_600_000;
store('2024-02-28', 'alice', 2 * $HOUR, 5 * $HOUR);
store('2024-02-29', 'alice', 3 * $HOUR, 4 * $HOUR);
store('2024-03-01', 'alice', 1 * $HOUR, 1 * $HOUR);
store('2024-02-29', 'bob', undef, 12 * $HOUR);
my @odd = ("a<b>&\"c'", "=HYPERLINK(\"http://evil\",\"x\")", "comma, \"quote\"\r\nline", "Zo\xc3\xab", "bad\xff\xfeutf8", "'quoted", "\xf0\x9f\x92\x93", "a b&c=d/%41");
store('2024-05-01', $_, 1000, 2000) for @odd;

# --- ranges ---

subtest 'days' => sub {
    my $a = json('from=2024-02-28&to=2024-03-01');
    is("$a->{site} $a->{from} $a->{to}", 'one.test 2024-02-28T00:00:00Z 2024-03-02T00:00:00Z', 'site and range; a leap day lies in it');
    is($a->{range_ms}, 3 * 24 * $HOUR, 'three days');
    ok($a->{whole_days}, 'whole ones');
    is($a->{total}, 2, 'two users');
    is($a->{next}, undef, 'one page');
    my ($alice, $bob) = @{ $a->{users} };
    is("$alice->{user} $alice->{active_ms} $alice->{open_ms} $alice->{active_percent} $alice->{open_percent}", "alice @{[6*$HOUR]} @{[10*$HOUR]} 8.33 13.88", 'all of one, cut and not rounded');
    is_deeply([ map { [ @$_{qw(day active_ms open_ms active_percent open_percent)} ] } @{ $alice->{days} } ],
        [ [ '2024-02-28', 2 * $HOUR, 5 * $HOUR, 8.33, 20.83 ], [ '2024-02-29', 3 * $HOUR, 4 * $HOUR, 12.5, 16.66 ], [ '2024-03-01', $HOUR, $HOUR, 4.16, 4.16 ] ], 'each day');
    is_deeply([ map { "$_->{day} $_->{active_ms} $_->{open_ms} $_->{open_percent}" } @{ $bob->{days} } ], [ '2024-02-29 0 ' . 12 * $HOUR . ' 50' ], 'only open, only one day');
    is_deeply([ map { $_->{user} } @{ json('to=2024-02-28')->{users} } ], ['alice'], 'without a start: the one day');
};

subtest 'instants' => sub {
    my $a = json('from=2024-02-29T08:00Z&to=2024-02-29T16:00:00Z');
    is("$a->{from} $a->{to} $a->{range_ms}", '2024-02-29T08:00:00Z 2024-02-29T16:00:00Z ' . 8 * $HOUR, 'a shift of eight hours');
    ok(!$a->{whole_days}, 'not whole days');
    is($a->{users}[0]{active_percent}, 37.5, 'three of them');
    is("$a->{users}[1]{open_ms} $a->{users}[1]{open_percent}", 12 * $HOUR . ' 100', 'twelve hours are the whole shift, not more');
    $a = json('from=2024-02-28T22:00Z&to=2024-02-29T06:00Z');
    is(scalar @{ $a->{users}[0]{days} }, 2, 'a night touches two days');
    is($a->{users}[0]{active_percent}, 62.5, 'two hours of the first and three of the second count');
    $a = json('from=2024-02-29T00%3A00Z&to=2024-03-01T00%3a00%3a00z');
    is(scalar @{ $a->{users}[0]{days} }, 1, 'midnight ends a day; percent-encoded, too');
};

subtest 'today, and what is still to come' => sub {
    my ($seconds, $micros) = @{ $redis->call('TIME') };
    my $today = strftime('%Y-%m-%d', gmtime $seconds);
    my $past = ($seconds % 86400) * 1000;
    store($today, 'carol', int($past / 2), $past);
    my $a = json('');
    is($a->{from}, "${today}T00:00:00Z", 'today is what is asked without a range');
    cmp_ok(abs($a->{range_ms} - $past), '<', 5000, 'until now');
    cmp_ok(abs($a->{users}[0]{active_percent} - 50), '<', 1, 'of which she was active for half') if $past > 1_000_000;
    $a = json("from=$today&to=" . strftime('%Y-%m-%d', gmtime $seconds + 5 * 86400));
    cmp_ok(abs($a->{range_ms} - $past), '<', 5000, 'the future does not count');
    $a = json('from=2090-01-01&to=2090-01-02');
    is("$a->{range_ms} " . @{ $a->{users} }, '0 0', 'a range of the future is empty');
    is(json('from=2090-01-01')->{to}, '2090-01-02T00:00:00Z', 'and without an end its first day');
};

subtest 'one user' => sub {
    my $a = json('user=bob&from=2024-02-01&to=2024-02-29');
    is_deeply([ map { "$_->{user} $_->{open_ms}" } @{ $a->{users} } ], [ 'bob ' . 12 * $HOUR ], 'only that one');
    $a = json('user=nobody&from=2024-02-01&to=2024-02-29');
    is_deeply([ $a->{total}, $a->{users} ], [ 0, [] ], 'a user nobody knows: nothing, and no error');
    for my $name (@odd) {
        my $encoded = $name =~ s/([^A-Za-z0-9])/sprintf '%%%02X', ord $1/ger;
        is(json("user=$encoded&from=2024-05-01&to=2024-05-01")->{total}, 1, "found by its name: $encoded");
    }
};

subtest 'mistakes' => sub {
    for (
        [ 'from=yesterday' => qr/^from: expected a day such as/ ], [ 'to=2024-02-30' => qr/^to: expected/ ], [ 'from=2023-02-29' => qr/^from/ ],
        [ 'from=2024-2-9' => qr/^from/ ], [ 'from=2024-02-29T24:00Z' => qr/^from/ ], [ 'from=2024-02-29T08:00' => qr/^from/ ],
        [ 'from=2024-02-29T08:00%2B02:00' => qr/^from/ ], [ 'from=1969-12-31' => qr/^from/ ], [ 'from=2024-13-01' => qr/^from/ ],
        [ 'from=2024-03-02&to=2024-03-01' => qr/before/ ], [ 'from=2024-03-01T08:00Z&to=2024-03-01T08:00Z' => qr/before/ ],
        [ 'from=2023-03-01&to=2024-03-01' => qr/at most 366 days/ ], [ 'from=2001-01-01' => qr/at most 366 days/ ],
        [ 'format=xml' => qr/^format: expected json, csv or html/ ], [ 'limit=0' => qr/^limit/ ], [ 'limit=10001' => qr/^limit/ ], [ 'limit=1x' => qr/^limit/ ], [ 'limit=-1' => qr/^limit/ ],
    ) {
        my ($query, $pattern) = @$_;
        my $r = ask($query);
        is($r->status, 400, "400: $query");
        like($r->body, $pattern, 'says why');
        like($r->header('content-type'), qr{^text/plain}, 'for people');
        is(JSON::PP->new->decode(ask("$query&format=json")->body)->{error}, $r->body =~ s/\n//r, 'and for programs') if $query !~ /format/;
    }
    is(ask('from=2023-03-01&to=2024-02-29')->status, 200, '366 days are not too many');
    my $r = $server->fetch('POST', '/audit', body => 'x=1');
    is($r->status, 405, 'POST: 405');
};

# --- formats ---

subtest 'headers' => sub {
    for my $format (qw(json csv html)) {
        my $r = ask("from=2024-02-28&to=2024-03-01&format=$format", headers => ['Origin: https://a.example']);
        is($r->header('cache-control'), 'no-store', "$format: not stored");
        is($r->header('x-content-type-options'), 'nosniff', 'taken for what it is');
        is($r->header('cross-origin-resource-policy'), 'same-origin', 'for no other origin');
        is($r->header('access-control-allow-origin'), undef, 'and no other may read it');
        my $h = $server->fetch('HEAD', "/audit?from=2024-02-28&to=2024-03-01&format=$format");
        is($h->status, 200, 'HEAD');
        is($h->header('content-length'), length $r->body, 'says the length') if $server->is_nginx;
    }
};

# The user's name as every format shows it: UTF-8, with U+FFFD for what is none.
sub shown { my ($name) = @_; utf8::decode(my $text = $name =~ s/[\xfe\xff]/\xef\xbf\xbd/gr); return $text }

subtest 'JSON' => sub {
    my $a = json('from=2024-05-01&to=2024-05-01&format=json');
    is_deeply([ sort map { $_->{user} } @{ $a->{users} } ], [ sort map { shown($_) } @odd ], 'every name as it is');
};

subtest 'CSV' => sub {
    my $r = ask('from=2024-05-01&to=2024-05-01&format=csv');
    is($r->header('content-type'), 'text/csv; charset=utf-8; header=present', 'its type');
    is($r->header('content-disposition'), 'attachment; filename="audit-2024-05-01-to-2024-05-01.csv"', 'a name for the file');
    my $csv = Text::CSV->new({ binary => 1, strict => 1, auto_diag => 2, decode_utf8 => 0 });
    open my $file, '<', \$r->body;
    my @lines = @{ $csv->getline_all($file) };
    is_deeply(shift @lines, [qw(user day active_ms open_ms active_percent open_percent)], 'the header line');
    is(scalar @lines, 2 * @odd, 'for each user a line for all and one for the day');
    is(scalar(grep { $_->[0] =~ /^[=+\-\@\t\r]/ } @lines), 0, 'nothing that a spreadsheet would reckon');
    is_deeply([ sort map { utf8::decode(my $name = $_->[0]); $name =~ s/^'//r } grep { $_->[1] eq 'total' } @lines ], [ sort map { shown($_) } @odd ],
        'every name, without the apostrophe in front');
    is_deeply([ @{ $lines[1] }[ 1 .. 5 ] ], [ '2024-05-01', 1000, 2000, '0.00', '0.00' ], 'a line');
    unlike($r->body, qr/[^\r]\n/, 'ends of lines as in RFC 4180');
};

subtest 'HTML' => sub {
    my $r = ask('from=2024-05-01&to=2024-05-01&format=html');
    is($r->header('content-type'), 'text/html; charset=utf-8', 'its type');
    like($r->header('content-security-policy'), qr/^default-src 'none'; style-src 'sha256-[A-Za-z0-9+\/]{43}='; base-uri 'none'; frame-ancestors 'self'$/, 'nothing but its own style');
    my (%tags, @names, $in, @scopes);
    utf8::decode(my $text = $r->body);
    HTML::Parser->new(
        api_version => 3,
        start_h => [ sub { my ($tag, $attributes) = @_; $tags{$tag}++; push @scopes, $attributes->{scope} if $tag eq 'th'; if ($tag eq 'bdi') { $in = 1; push @names, '' } fail("event handler in $tag") if grep {/^on/} keys %$attributes }, 'tagname, attr' ],
        end_h => [ sub { $in = 0 if $_[0] eq 'bdi' }, 'tagname' ],
        text_h => [ sub { $names[-1] .= $_[0] if $in }, 'dtext' ],
        unbroken_text => 1,
    )->parse($text)->eof;
    is($tags{table}, 1, 'a table');
    is($tags{caption}, 1, 'with a caption');
    ok(!$tags{script} && !$tags{b} && !$tags{img}, 'and nothing that a name could bring along');
    is(scalar(grep { !defined } @scopes), 0, 'every head of a row or column says which');
    is_deeply([ sort @names[ 1 .. $#names ] ], [ sort map { shown($_) } @odd ], 'every name as it is');
    my $empty = ask('from=2024-06-01&to=2024-06-01&format=html')->body;
    like($empty, qr/Nobody/, 'nobody');
    like(ask('from=2024-02-29T08:00Z&to=2024-02-29T16:00Z&format=html')->body, qr/3:00:00<td>37\.50/, 'hours, minutes, seconds; percent');
};

# --- pages ---

subtest 'page after page' => sub {
    my @names = map { sprintf 'user%03d+x@example.org', $_ } 1 .. 25;
    store('2024-07-01', $_, 1000, 1000) for reverse @names;
    my ($query, @found, $turns) = ('from=2024-07-01&to=2024-07-01&limit=10');
    while ($query && ++$turns < 9) {
        my $r = ask($query);
        my $a = JSON::PP->new->utf8->decode($r->body);
        is($a->{total}, 25, 'of twenty-five');
        push @found, map { $_->{user} } @{ $a->{users} };
        my ($link) = ($r->header('link') // '') =~ /^<\?(.*)>; rel="next"$/;
        is($a->{next}, defined $link ? "?$link" : undef, 'the link to the next page, in the header and in the answer');
        $query = $link;
    }
    is($turns, 3, 'three pages');
    is_deeply(\@found, \@names, 'sorted, each once');
    my $html = ask('from=2024-07-01&to=2024-07-01&limit=24&format=html')->body;
    like($html, qr/<a rel="next" href="\?from=2024-07-01&amp;to=2024-07-01&amp;format=html&amp;limit=24&amp;after=user024%2Bx%40example.org">Next page<\/a> \(1 users? more\)/, 'as a link');
};

subtest 'too much at once' => sub {
    my @names = map {"u$_"} 1 .. 50_001;
    for my $kind (qw(active open)) {
        for (my $i = 0; $i < @names; $i += 10_000) {
            my $end = $i + 9_999 > $#names ? $#names : $i + 9_999;
            $redis->call('ZADD', "hb:{one.test}:$kind:2024-08-01", map { (1, $_) } @names[ $i .. $end ]);
        }
    }
    my $r = ask('from=2024-08-01&to=2024-08-01');
    is($r->status, 400, 'refused before Redis reads it');
    like($r->body, qr/fewer days or for one user/, 'says what to do');
    is(json('from=2024-08-01&to=2024-08-01&user=u7')->{total}, 1, 'one user is fine');
    my @long = map { sprintf('%03d', $_) . 'x' x 2000 } 1 .. 400;
    store('2024-08-02', $_, 1, 1) for @long;
    my $a = json('from=2024-08-02&to=2024-08-02');
    cmp_ok(scalar @{ $a->{users} }, '<', 300, 'a page ends where the answer gets long');
    ok($a->{next}, 'and says that it goes on');
};

# --- stores ---

subtest 'shards' => sub {
    for my $name (map {"user$_"} 1 .. 40) {
        store('2024-02-29', $name, 1000, 2000, tag => '{sharded.test/' . hex(substr sha1_hex($name), 0, 8) % 5 . '}');
    }
    my $a = json('from=2024-02-29&to=2024-02-29', host => 'sharded.test');
    is($a->{total}, 40, 'all shards together');
    is_deeply([ map { $_->{user} } @{ $a->{users} } ], [ sort map {"user$_"} 1 .. 40 ], 'sorted');
    is(json("from=2024-02-29&to=2024-02-29&user=user$_", host => 'sharded.test')->{total}, 1, "user$_: found in its shard") for 1 .. 10;
};

subtest 'what the server itself has recorded' => sub {
    my $name = "dora\xc3\xab <1>";
    for (1 .. 4) {
        $server->fetch('HEAD', '/hb/ping?a=1', host => 'live.test', headers => [ 'Cookie: hb=live', "X-User: $name" ]);
        sleep 0.5;
    }
    utf8::decode(my $shown = $name);
    my $user;
    ok(eventually(sub { ($user) = @{ json('', host => 'live.test')->{users} }; $user && $user->{open_ms} > 1300 }, 6), 'a user who pinged has been there');
    is($user->{user}, $shown, 'by name');
    cmp_ok($user->{$_}, '<', 2500, "$_: about a second and a half") for qw(open_ms active_ms);
    cmp_ok($user->{active_ms}, '>', 1300, 'and active');
};

subtest 'what Redis allows' => sub {
    store('2024-02-29', 'alice', 1000, 2000, tag => '{acl.test}', prefix => 'hb:acl');
    is(json('from=2024-02-29&to=2024-02-29', host => 'acl.test')->{total}, 1, 'the commands of the manual are enough');
    is(json('from=2024-02-29&to=2024-02-29&user=alice', host => 'acl.test')->{total}, 1, 'for one user, too');
    my $r = ask('from=2024-02-29&to=2024-02-29', host => 'denied.test');
    is($r->status, 503, 'keys that the user may not read: 503');
    like($r->header('retry-after'), qr/^\d+$/, 'with Retry-After');
    unlike($r->raw, qr/NOPERM|auditor|s3cret/, 'without details');
    like($server->error_log, qr/eartbeat: Redis [^\n]*NOPERM/, 'which are in the log');
};

subtest 'a key of another type' => sub {
    $redis->call('SET', 'hb:{one.test}:active:2024-09-01', 'x');
    my $r = ask('from=2024-09-01&to=2024-09-01');
    is($r->status, 503, 'a 503');
    like($server->error_log, qr/eartbeat: Redis [^\n]*WRONGTYPE/, 'the log says why');
};

subtest 'strange scores' => sub {
    $redis->call('ZADD', 'hb:{one.test}:active:2024-09-02', '+inf', 'a', '-5', 'b', '1.9', 'c', '0', 'd', '1e300', 'e');
    my $a = json('from=2024-09-02&to=2024-09-02');
    is_deeply([ map { "$_->{user} $_->{active_ms} $_->{active_percent}" } @{ $a->{users} } ], [ 'a 1000000000000000 100', 'c 1 0', 'e 1000000000000000 100' ], 'whole milliseconds, whatever stands there');
};

subtest 'protected by means of the server' => sub {
    my $r = $server->fetch('GET', '/denied?from=2024-02-28');
    is($r->status, 403, 'who may not ask is told so');
    unlike($r->body, qr/alice/, 'and nothing else');
};

subtest 'inside nginx' => sub {
    plan skip_all => 'for nginx' if !$server->is_nginx;
    Heartbeat::Server::write_file("$server->{dir}/htdocs/page.shtml", join '', map {"<$_><!--# include virtual=\"/audit?from=2024-02-2$_&to=2024-02-2$_&format=csv\" --></$_>"} 8, 9);
    for (1 .. 5) {
        my $body = $server->fetch('GET', '/page.shtml')->body;
        like($body, qr/<8>user,day,.*alice,2024-02-28,.*<\/8><9>.*alice,2024-02-29,.*bob,2024-02-29.*<\/9>/s, 'parts of a page');
    }
    my $r = $server->fetch('GET', '/missing/x');
    is($r->status, 200, 'where another request ends up');
    like($r->body, qr/"site":"one\.test"/, 'it is answered, too');
};

subtest 'over HTTP/2' => sub {
    plan skip_all => 'the prefork MPM does not serve HTTP/2' if $server->is_prefork;
    my $port = $server->tls_port;
    my $text = `curl -sk --http2 --max-time 10 -w '\n%{http_version} %{http_code}' --resolve one.test:$port:127.0.0.1 'https://one.test:$port/audit?from=2024-02-28&to=2024-03-01'`;
    like($text, qr/"user":"alice".*\n2 200$/s, 'the same answer');
};

subtest 'many at a time on one connection' => sub {
    my $c = $server->connect;
    $c->send(join '', map { $c->request_bytes('GET', "/audit?from=2024-02-28&to=2024-02-28"), $c->request_bytes('HEAD', '/hb/ping') } 1 .. 20);
    my @statuses = map { map { my $r = $c->response($_); $r ? $r->status : 'none' } 'GET', 'HEAD' } 1 .. 20;
    is("@statuses", join(' ', ('200 204') x 20), 'pipelined, in order');
};

ok(eventually { scalar(my @clients = split /\n/, $redis->call('CLIENT', 'LIST')) <= 5 }, 'no connection to Redis is left behind');
no_bad_log_lines();
done_testing;
