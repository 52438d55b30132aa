# Sessions of applications are kept alive in their Redis: PHP's and Express' own, and keys of every kind.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Heartbeat::App;
use Heartbeat::Test;
use Test::More;

my $SECRET = 'touch-s3cret';
my $own = redis();
my $other = redis(persist => 1, acl => {
    # As the manual says, and for these keys only.
    heartbeat => "on >$SECRET ~sess:* ~app:* +evalsha +eval +time +pttl +pexpire +select +ping",
});
my $other_url = "redis://heartbeat:$SECRET\@127.0.0.1:" . $other->port;

my $php = Heartbeat::App->php(dir => workplace(), redis => $own, database => 0, ttl => 3);
my $express = Heartbeat::App->express(dir => workplace(), redis => $other, database => 3, ttl => 3);

my $of_nginx = server()->is_nginx;
my @php = ([ heartbeat_session => 'cookie:PHPSESSID' ], [ heartbeat_touch => 'PHPREDIS_SESSION:{session}', '3s' ]);
my @express = (
    [ heartbeat_session => $of_nginx ? '$express_session' : 'expr=%{reqenv:EXPRESS_SESSION}' ],
    [ heartbeat_touch => 'sess:{session}', '3s', "$other_url/3" ],
);
my @raw = ([ heartbeat_session => 'arg:sid' ], [ heartbeat_user => 'header:X-User' ]);
my @observe = ([ heartbeat_policy => 'observe' ]);
my @track = ([ heartbeat_track => 'on' ]);

# What the manual shows for the cookie of express-session.
my $manual = Heartbeat::Server::slurp("$FindBin::Bin/../../docs/application-sessions.md");
sub shown { my ($lines) = @_; return $manual =~ /($lines)/ ? $1 : die "not in the manual: $lines\n" }

my %settings = (
    main => [ [ heartbeat_zone => '2m' ], [ heartbeat_redis => $own->url ], [ heartbeat_flush => '200ms' ] ],
    native_main_nginx => shown(qr/^map .*?^}$/ms),
    extra_modules_before => $of_nginx ? [] : ['setenvif_module /usr/lib/apache2/modules/mod_setenvif.so'],
    vhosts => [ {
        name => 'one.test',
        native_apache => shown(qr/^SetEnvIf .*$/m),
        locations => {
            '/php/ping' => { endpoint => 'ping', settings => [@php] },
            '/php/page' => { endpoint => 'page', settings => [@php] },
            '/php/beat' => { endpoint => 'beat', settings => [@php] },
            '/php/watch' => { endpoint => 'ping', settings => [ @php, @observe ] },
            '/php/tracked.txt' => { settings => [ @php, @track ] },
            '/php/polled.txt' => { settings => [ @php, @track, @observe ] },
            '/express/ping' => { endpoint => 'ping', settings => [@express] },
            '/express/watch' => { endpoint => 'ping', settings => [ @express, @observe ] },
            '/raw/ping' => { endpoint => 'ping', settings => [
                @raw,
                [ heartbeat_touch => 'app:{session}', '20s', $other_url ],
                [ heartbeat_touch => 'app:{user}/{session}', '20s', $other_url ],
                [ heartbeat_touch => 'forbidden:{session}', '20s', $other_url ],
                [ heartbeat_touch => 'here:{session}', '20s' ],
            ] },
            '/raw/watch' => { endpoint => 'ping', settings => [ @raw, @observe ] },
        },
    } ],
);
my $server = server(%settings)->start;

sub database {
    my ($redis, $number) = @_;
    my $client = Heartbeat::Redis::Client->new(port => $redis->port);
    $client->call('SELECT', $number);
    return $client;
}

# A client for each path that is asked again and again.
my %clients;
sub ask {
    my ($what, $cookie) = @_;
    my ($path, $body) = split / /, $what;
    $clients{$path} //= $server->connect;
    my $r = $clients{$path}->request($body ? 'POST' : 'GET', $path, body => $body, headers => ["Cookie: other=1; $cookie"]);
    return $r && $r->status =~ /^20/ ? 1 : 0;
}

# --- real applications: sessions that live for three seconds without a request ---

# One visitor for each way to be there. The application hears of none of them in between.
sub visitors {
    my ($app, $keys, %paths) = @_;
    my %visitors;
    for my $name ('silent', 'gone', keys %paths) {
        my $session = $app->login($name);
        $visitors{$name} = {
            app => $app, keys => $keys, session => $session, path => $paths{$name},
            value => $keys->call('GET', $session->{key}), from => time,
        };
    }
    $visitors{gone}{path} = $paths{ping};
    return \%visitors;
}

my ($php_keys, $express_keys) = (database($own, 0), database($other, 3));
my %sites = (
    PHP => visitors($php, $php_keys, ping => '/php/ping', page => '/php/page', watch => '/php/watch', idle => '/php/ping?a=0',
        beat => '/php/beat active=1', still => '/php/beat active=0',
        tracked => '/php/tracked.txt', polled => '/php/polled.txt'),
    Express => visitors($express, $express_keys, ping => '/express/ping', watch => '/express/watch',
        idle => '/express/ping?a=0'),
);
my @visitors = map { values %$_ } values %sites;

# A turn: everyone who is there asks; whose session went away is noted.
my $answers = 1;
sub turn {
    for my $v (@visitors) {
        $answers &&= ask($v->{path}, $v->{session}{cookie}) if $v->{path};
        my $there = $v->{keys}->call('EXISTS', $v->{session}{key});
        $v->{died} //= time if !$there;
        $v->{raised} = 1 if $there && $v->{died};
    }
    sleep 0.2;
}

my $begin = time;
turn() while time < $begin + 1.5;
for my $name (sort keys %sites) {
    my $v = $sites{$name}{gone};
    is($v->{app}->logout($v->{session}), 'gone', "$name: one visitor logs out, and a tab of his goes on pinging");
}
turn() while time < $begin + 6.5;
ok($answers, 'every ping was answered');

for my $name (sort keys %sites) {
    my %v = %{ $sites{$name} };
    subtest "$name: who pings, and says so" => sub {
        for my $visitor (grep { $v{$_} } qw(ping page beat tracked)) {
            my $v = $v{$visitor};
            ok(!$v->{died}, "$visitor: lives after twice its time");
            my $left = $v->{keys}->call('PTTL', $v->{session}{key});
            ok($left > 1500 && $left <= 3000, "for three seconds from the last sign: $left ms");
            is($v->{keys}->call('GET', $v->{session}{key}), $v->{value}, 'every byte as the application wrote it');
            is($v->{app}->who($v->{session}), $visitor, 'the application knows the visitor');
        }
    };
    subtest "$name: who is only watched" => sub {
        for my $visitor (grep { $v{$_} } qw(silent watch idle still polled)) {
            my $v = $v{$visitor};
            my $lived = $v->{died} ? $v->{died} - $v->{from} : 99;
            ok($lived > 2.8 && $lived < 3.6, sprintf '%s: dies when its time is up, after %.1f s', $visitor, $lived);
            is($v->{app}->who($v->{session}), 'nobody', 'the application knows nobody');
        }
    };
    subtest "$name: who logged out" => sub {
        ok($v{gone}{died} && !$v{gone}{raised}, 'is not raised from the dead');
        is($v{gone}{app}->who($v{gone}{session}), 'nobody', 'for the application neither');
    };
}

subtest 'and then they leave' => sub {
    my @left = grep { !$_->{died} } @visitors;
    is(scalar @left, 5, 'those who pinged are there');
    sleep 3.8;  # three seconds, and what a flush may take
    is($_->{keys}->call('EXISTS', $_->{session}{key}), 0, "$_->{path}: dead") for @left;
};

# --- keys of every kind ---

my $keys = database($other, 0);
my $marks = 0;

# Puts a key there that lives for five seconds.
sub short { $keys->call('SET', $_, "the value of $_", 'PX', 5000) for @_ }

# Does a key live longer than it was told?
sub lengthened { my ($key, $client) = @_; return ($client // $keys)->call('PTTL', $key) > 15000 }

# Waits until the signs of life so far have been carried to both stores: the second of two marks is of a later pass.
sub carried {
    my $arrived = 0;
    for my $mark (map { 'mark' . ++$marks } 1, 2) {
        $keys->call('SET', "app:$mark", '', 'PX', 5000);
        $php_keys->call('SET', "here:$mark", '', 'PX', 5000);
        $server->fetch('GET', "/raw/ping?sid=$mark");
        $arrived++ if eventually { lengthened("app:$mark") && lengthened("here:$mark", $php_keys) };
    }
    return is($arrived, 2, 'all is carried');
}
sub sign {
    my ($sid, @headers) = @_;
    $sid =~ s/([^A-Za-z0-9])/sprintf '%%%02X', ord $1/ge;
    return is($server->fetch('GET', "/raw/ping?sid=$sid", headers => \@headers)->status, 204, 'a sign of life');
}

subtest 'only ever longer' => sub {
    short('app:short');
    $keys->call('SET', 'app:long', 'x', 'PX', 100000);
    $keys->call('SET', 'app:ever', 'x');
    $keys->call('RPUSH', 'app:list', 1, 2);
    $keys->call('HSET', 'app:hash', 'a', 1);
    $keys->call('PEXPIRE', $_, 5000) for 'app:list', 'app:hash';
    sign($_) for qw(short long ever list hash missing);
    carried();
    ok(lengthened("app:$_"), "a $_ key: lengthened") for qw(short list hash);
    ok($keys->call('PTTL', "app:$_") <= 20000, "and to no more than told") for qw(short list hash);
    ok($keys->call('PTTL', 'app:long') > 90000, 'a longer life: not shortened');
    is($keys->call('PTTL', 'app:ever'), -1, 'an endless one: left alone');
    is($keys->call('EXISTS', 'app:missing'), 0, 'a missing one: not made');
    is($keys->call('GET', 'app:short'), 'the value of app:short', 'the value is as it was');
    is(join(' ', @{ $keys->call('LRANGE', 'app:list', 0, -1) }), '1 2', 'of a list too');
};

subtest 'the bytes of an id' => sub {
    my @ids = ('{session}', '{user}', '}{', "a b\r\n\$1\0\x01\xff", '*', '"quoted\\', 'x' x 49, 'y' x 50);
    short(map {"app:$_"} @ids);
    sign($_) for @ids;
    carried();
    ok(lengthened("app:$ids[$_]"), "id $_ is just bytes") for 0 .. 6;
    ok(!lengthened("app:$ids[7]"), 'of over 49 bytes, the table has but a digest: not touched');
};

subtest 'the user' => sub {
    short('app:ann/one', 'app:/one', 'app:two words/two', 'app:one', 'app:two');
    sign('one');
    carried();
    ok(lengthened('app:one'), 'without a user: the key of the session');
    ok(!lengthened('app:/one'), 'and not that of a user without a name');
    sign('one', 'X-User: ann');
    sign('two', 'X-User: two words');
    carried();
    ok(lengthened("app:$_"), "with one: $_") for 'ann/one', 'two words/two';
};

subtest 'several stores, and another policy meanwhile' => sub {
    short('app:both');
    $php_keys->call('SET', 'here:both', 'x', 'PX', 5000);
    sign('both');
    is($server->fetch('GET', '/raw/watch?sid=both')->status, 204, 'watched at once in another location');
    carried();
    ok(lengthened('app:both'), 'another server');
    ok(lengthened('here:both', $php_keys), "Heartbeat's own");
};

subtest 'a key that Redis does not let us use' => sub {
    short('app:secret-id', 'forbidden:secret-id');
    sign('secret-id');
    carried();
    ok(lengthened('app:secret-id'), 'another key of the same session is lengthened');
    ok(!lengthened('forbidden:secret-id'), 'the forbidden one is not');
    like($server->error_log, qr/refuses to touch .* forbidden:\{session\}/, 'the log names the setting');
    unlike($server->error_log, qr/secret-id/, 'and no session');
};

subtest 'nothing else happens there' => sub {
    my @foreign = grep { !/^(?:app|forbidden|sess):/ } @{ $keys->call('KEYS', '*') }, @{ $express_keys->call('KEYS', '*') };
    is("@foreign", '', "no key of Heartbeat's in the Redis of an application");
};

# --- Redis away ---

# The moment at which a key ends, by the clock of this host.
sub ends { my ($key) = @_; return now_ms() + $keys->call('PTTL', $key) }
sub ends_right { my ($key, $signed) = @_; my $off = abs(ends($key) - $signed - 20000); ok($off < 300, "$key ends 20 s after the sign of life (off by $off ms)") }

sub answered_at_once {
    my ($what) = @_;
    my $asked = now_ms();
    is($server->ping('x', target => '/raw/ping?sid=away')->status, 204, "a ping while it is $what");
    my $answered = now_ms();
    cmp_ok($answered - $asked, '<', 500, 'is answered at once');
    eventually { $own->call('ZCOUNT', 'hb:{one.test}:seen', $asked - 200, '+inf') };
    cmp_ok(now_ms() - $answered, '<', 1500, "and Heartbeat's own Redis hears of it");
    return $answered;
}

subtest 'Redis frozen' => sub {
    short('app:away');
    carried();
    $other->freeze;
    my $signed = answered_at_once('frozen');
    is($server->ping('x', target => '/raw/watch?sid=away')->status, 204, 'the tab is still open later') if sleep 2;
    $other->thaw;
    ok(eventually(sub { lengthened('app:away') }, 8), 'lengthened when it is back');
    ends_right('app:away', $signed);
};

subtest 'Redis stopped' => sub {
    $keys->call('SET', 'app:away', 'x', 'PX', 10000);
    $other->stop;
    my $signed = answered_at_once('stopped');
    sleep 1;
    $other->start;
    $keys = database($other, 0);
    ok(eventually(sub { lengthened('app:away') }, 8), 'lengthened when it is back');
    ends_right('app:away', $signed);
};

subtest 'the server is stopped' => sub {
    my $last = server(%settings, main => [ @{ $settings{main} }[ 0, 1 ], [ heartbeat_flush => '1h' ] ])->start;
    sleep 1.5;  # the first pass is over
    short('app:last');
    my $signed = now_ms();
    is($last->fetch('GET', '/raw/ping?sid=last')->status, 204, 'a sign of life');
    $last->stop;
    ok(lengthened('app:last'), 'is carried before the end');
    ends_right('app:last', $signed);
};

# --- the configuration ---

sub tested {
    my ($main, @touches) = @_;
    my $tested = server(main => $main, vhosts => [ {
        name => 'one.test', locations => { '/hb/ping' => { endpoint => 'ping', settings => [ map { [ heartbeat_touch => @$_ ] } @touches ] } },
    } ]);
    my ($code, $text) = $tested->configtest;
    return ($code, $text, $tested);
}

my @own = ([ heartbeat_redis => 'redis://127.0.0.1:1' ]);
for my $good (
    [ 'the Redis of Heartbeat', [@own], [ '{user}', '1s' ] ],
    [ 'a Redis of its own only', [], [ 'a:{session}', '24m', 'unix:/tmp/nobody?db=3' ] ],
    [ 'four', [@own], map { [ "$_:{session}", '24m', "redis://127.0.0.1:1/$_" ] } 1 .. 4 ],
) {
    my ($name, @rest) = @$good;
    my ($code, $text) = tested(@rest);
    is($code, 0, "accepted: $name") or diag $text;
}
for my $bad (
    [ 'no Redis', qr/heartbeat_touch a:\{session\}: no Redis: expected/, [], [ 'a:{session}', '24m' ] ],
    [ 'no session in the key', qr/"a:session", expected .*\{session\}/, [@own], [ 'a:session', '24m' ] ],
    [ 'too long a key', qr/expected a key of up to 200 bytes/, [@own], [ 'x' x 192 . '{session}', '24m' ] ],
    [ 'no time', qr/"late", expected/, [@own], [ 'a:{session}', 'late' ] ],
    [ 'a wrong URL', qr/"redis:\*\*\*\@h:99999", expected/, [@own], [ 'a:{session}', '24m', "redis://u:$SECRET\@h:99999" ] ],
    [ 'an unknown host', qr/no\.such\.host\.invalid/, [@own], [ 'a:{session}', '24m', "redis://u:$SECRET\@no.such.host.invalid" ] ],
    [ 'five', qr/at most four/, [@own], map { [ "$_:{session}", '24m' ] } 1 .. 5 ],
) {
    my ($name, $words, @rest) = @$bad;
    my ($code, $text, $tested) = tested(@rest);
    isnt($code, 0, "refused: $name");
    like($text, $words, 'with what is wrong');
    my $config = $tested->config_path;
    like($text, qr/\Q$config\E:\d+|line \d+ of \Q$config\E/, 'and where');
    unlike($text, qr/\Q$SECRET/, 'and no password');
}

unlike($_->error_log, qr/\Q$SECRET/, 'no password in the log') for Heartbeat::Server::all();
no_bad_log_lines();
done_testing;
